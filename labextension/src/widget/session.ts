import type { TreeJSON } from '../api/tree';
import { TreeModel } from '../model/treeModel';

/** What the widget sends to the kernel. */
export type RunViewMessage = { type: 'cancel' | 'retry'; run_id: string } | { type: 'sync' };

/** The part of anywidget's model that the widget uses. */
export interface WidgetModel {
  get(name: string): unknown;
  send(message: RunViewMessage): void;
  on(event: string, callback: (content?: unknown) => void): void;
  off(event: string, callback: (content?: unknown) => void): void;
}

/**
 * The kernel's side of the widget, as the page has it: one for all places at which a widget is shown.
 *
 * The trait `view` is a whole tree (`TreeJSON` with `reset`), there when the page makes the widget; what changes comes
 * as custom messages `{"type": "tree", "tree": …}`. Where one is missing, `{"type": "sync"}` asks for the whole tree.
 * The trait `mode` is "full" or "compact". To the kernel go `{"type": "cancel" | "retry", "run_id": …}`.
 */
export class Session {
  readonly tree = new TreeModel();

  constructor(private readonly model: WidgetModel) {
    model.on('change:view', this.onView);
    model.on('msg:custom', this.onMessage);
    model.on('comm_live_update', this.onDisconnected);
    this.onView();
  }

  get connected(): boolean {
    return this.alive;
  }

  get compact(): boolean {
    return this.model.get('mode') === 'compact';
  }

  dispose(): void {
    this.model.off('change:view', this.onView);
    this.model.off('msg:custom', this.onMessage);
    this.model.off('comm_live_update', this.onDisconnected);
    this.listeners.clear();
  }

  send(message: RunViewMessage): void {
    this.model.send(message);
  }

  /** Have a function called after each change; returns what undoes it. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private readonly onView = (): void => {
    const view = this.model.get('view');
    if (isTree(view)) {
      this.take(view);
    }
  };

  private readonly onMessage = (content?: unknown): void => {
    const { type, tree } = (content ?? {}) as { type?: unknown; tree?: unknown };
    if (type === 'tree' && isTree(tree)) {
      this.take(tree);
    }
  };

  /** The kernel is gone: the picture stays as it was, and nothing can be asked any more. */
  private readonly onDisconnected = (): void => {
    this.alive = false;
    this.tree.freeze();
    this.tell();
  };

  private take(message: TreeJSON): void {
    const taken = this.tree.take(message);
    if (taken === 'gap' && !this.asked) {
      this.asked = true;
      this.send({ type: 'sync' });
    } else if (taken === 'taken') {
      this.asked = this.asked && !message.reset;
      this.tell();
    }
  }

  private tell(): void {
    this.listeners.forEach(listener => listener());
  }

  private readonly listeners = new Set<() => void>();
  private alive = true;
  private asked = false;
}

/** Before the first one the trait is an empty object. */
function isTree(value: unknown): value is TreeJSON {
  const tree = value as Partial<TreeJSON> | null | undefined;
  return tree?.run !== undefined && Array.isArray(tree.made) && Array.isArray(tree.changed);
}
