import type { RunJSON } from '../api/schema';
import type { TreeModel } from '../model/treeModel';
import type { Action } from './buttons';
import { drawDetails } from './details';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { drawGraph } from './graph/graph';
import { isGroupKey } from './groups';
import { drawHead } from './head';
import { drawLogs } from './logs';
import { runTitle } from './names';
import { ownKeys } from './shortcuts';
import { isClosed, stateLabel } from './states';
import { Tabs } from './tabs';
import { drawTasks, type TabDrawing, type TabView } from './tasks';
import { drawTimeline } from './timeline/timeline';
import type { Tree } from './tree';

/** What a screen remembers from one showing to the next: its host keeps it. */
export interface ScreenMemory {
  tab: string | null;
  selected: string | null;
  /** Which rows and groups the reader has opened or closed. */
  readonly expanded: Map<string, boolean>;
  /** Whether what is below the header is open where it can be closed. */
  isOpen: boolean;
}

/** Nothing to remember yet. */
export function newMemory(): ScreenMemory {
  return { tab: null, selected: null, expanded: new Map(), isOpen: false };
}

export interface ScreenOptions {
  actions: readonly Action[];
  memory: ScreenMemory;
  /** Whether the header says when the run began and what its id is. */
  facts?: boolean;
  /** Whether only the header is shown, with a button that opens the rest. */
  compact?: boolean;
  /** Gives what the tree does not hold of a run; null where nobody can be asked. */
  describe?: ((id: string) => Promise<RunJSON>) | null;
  /** Drawn below the header. */
  extra?: Drawing<RunJSON>;
}

/** What every tab is given, and what of it is only for one. */
interface AllView extends TabView {
  model: TreeModel;
}

const TABS = ['tasks', 'graph', 'timeline', 'logs'] as const;
type TabId = (typeof TABS)[number];
const LABELS: Record<TabId, string> = {
  tasks: 'Tasks',
  graph: 'Graph',
  timeline: 'Timeline',
  logs: 'Logs'
};
const TICK = 1000;
let made = 0;

/**
 * A run with everything below it: a header, and tabs with its tasks, their graph, a timeline and the log. Framework-free:
 * the widget below a cell and the pages of JupyterLab show the same.
 *
 * A change of the model is painted in the next frame, whatever number of changes comes before it, and of the tabs only
 * the one that is open. A `wf:painted` event tells how many ms that took. Clocks tick only while the run lives.
 */
export class Screen {
  readonly element = make('div', 'wf-Screen');

  constructor(
    private readonly model: TreeModel,
    private readonly options: ScreenOptions
  ) {
    const bodyId = `wf-screen-${++made}`;
    this.head = drawHead({
      actions: options.actions,
      facts: options.facts ?? false,
      onDisclose: options.compact === true ? () => this.disclose() : null,
      bodyId
    });
    const panels = TABS.map(id => ({ id, label: LABELS[id], panel: this.panels[id] }));
    this.tabs = new Tabs(panels, id => this.open(id));
    this.details = drawDetails(() => this.select(null), options.describe ?? null);
    this.body.id = bodyId;
    this.body.append(this.tabs.element, ...panels.map(({ panel }) => panel), this.details.element);
    this.status.setAttribute('role', 'status');
    this.status.setAttribute('aria-live', 'polite');
    this.element.append(this.head.element);
    if (options.extra !== undefined) {
      this.element.append(options.extra.element);
    }
    this.element.append(this.body, this.status);
    this.element.hidden = true;
    this.leaveKeys = ownKeys(this.element);
    this.paint();
  }

  dispose(): void {
    this.disposed = true;
    window.cancelAnimationFrame(this.frame);
    this.stop();
    this.leaveKeys();
    this.details.dispose();
    for (const drawing of this.drawings.values()) {
      drawing.dispose();
    }
  }

  /** Paint the model anew in the next frame; the first time at once. */
  invalidate(): void {
    if (this.disposed) {
      return;
    }
    if (this.element.hidden) {
      this.paint();
    } else if (this.frame === 0) {
      this.frame = window.requestAnimationFrame(() => {
        this.frame = 0;
        this.paint();
      });
    }
  }

  /** Choose a run, or the calls of one task, in all tabs; null for none. */
  select(id: string | null): void {
    this.options.memory.selected = id;
    this.invalidate();
  }

  private open(id: string): void {
    this.options.memory.tab = id;
    this.paint();
  }

  private disclose(): void {
    this.options.memory.isOpen = !this.options.memory.isOpen;
    this.paint();
  }

  private paint(): void {
    const { model, options } = this;
    const { tree, run } = model;
    if (tree === null || run === null) {
      return;
    }
    const began = performance.now();
    const now = model.now();
    const isOpen = options.compact !== true || options.memory.isOpen;
    this.element.hidden = false;
    setAttribute(this.element, 'data-state', run.state.type);
    setAttribute(this.element, 'data-run-id', run.id);
    setAttribute(this.element, 'data-open', String(isOpen));
    this.head.update({ model, run, now, ownError: this.hasOwnError(tree, run), isOpen });
    options.extra?.update(run);
    this.announce(run);
    this.body.hidden = !isOpen;
    if (isOpen) {
      this.paintBody(tree, now);
    }
    this.tick();
    const detail = performance.now() - began;
    this.element.dispatchEvent(new CustomEvent('wf:painted', { detail, bubbles: true }));
  }

  private paintBody(tree: Tree, now: number): void {
    const { model } = this;
    const { memory } = this.options;
    const shown = shownTabs(model, tree);
    const open =
      shown.find(id => id === memory.tab) ?? (shown.includes('tasks') ? 'tasks' : 'logs');
    const some = tree.rows.length + model.more;
    this.tabs.update(shown, open, { tasks: some > 0 ? some.toLocaleString('en') : '' });
    const id = memory.selected;
    const chosen = id === null ? undefined : tree.byId.get(id);
    // The calls of one task can be chosen together: their key is no run's id.
    const selected = chosen?.id ?? (id !== null && isGroupKey(id) ? id : null);
    this.drawing(open).update({ tree, selected, now, model });
    // The root is described by the header.
    this.details.update({ row: chosen === undefined || chosen === tree.root ? null : chosen, now });
  }

  /** A tab's drawing, made when the tab is opened for the first time. */
  private drawing(id: TabId): TabDrawing<AllView> {
    let drawing = this.drawings.get(id);
    if (drawing === undefined) {
      drawing = this.draw(id);
      this.drawings.set(id, drawing);
      this.panels[id].append(drawing.element);
    }
    return drawing;
  }

  private draw(id: TabId): TabDrawing<AllView> {
    const onSelect = (chosen: string | null): void => this.select(chosen);
    switch (id) {
      case 'graph':
        return drawGraph(onSelect);
      case 'timeline':
        return drawTimeline(onSelect);
      case 'logs':
        return adapted(drawLogs(onSelect), ({ model, ...view }) => ({ ...view, logs: model.logs }));
      default:
        return adapted(drawTasks(onSelect, this.options.memory.expanded), ({ model, ...view }) => ({
          ...view,
          counts: model.counts,
          more: model.more,
          live: model.live
        }));
    }
  }

  /** Whether no row has the run's error, so that it has to be told at the top. */
  private hasOwnError(tree: Tree, run: RunJSON): boolean {
    if (run.error === null) {
      return false;
    }
    if (this.errorTree !== tree) {
      const { type, message } = run.error;
      this.errorTree = tree;
      this.ownError = !tree.rows.some(
        ({ error }) => error !== null && error.type === type && error.message === message
      );
    }
    return this.ownError;
  }

  /** Screen readers hear the run's states, not every tick. */
  private announce(run: RunJSON): void {
    const { progress } = this.model;
    const done =
      isClosed(run.state) && progress.total > 0
        ? `, ${progress.done} of ${progress.total} done`
        : '';
    setText(this.status, `${runTitle(run)}: ${stateLabel(run.state)}${done}`);
  }

  private tick(): void {
    if (this.model.ticks && !this.disposed) {
      this.timer ??= window.setInterval(() => this.invalidate(), TICK);
    } else {
      this.stop();
    }
  }

  private stop(): void {
    if (this.timer !== null) {
      window.clearInterval(this.timer);
      this.timer = null;
    }
  }

  private readonly head;
  private readonly tabs: Tabs;
  private readonly details;
  private readonly body = make('div', 'wf-Screen-body');
  private readonly status = make('div', 'wf-hidden');
  private readonly panels: Record<TabId, HTMLElement> = {
    tasks: make('div', 'wf-Panel'),
    graph: make('div', 'wf-Panel'),
    timeline: make('div', 'wf-Panel'),
    logs: make('div', 'wf-Panel')
  };
  private readonly drawings = new Map<TabId, TabDrawing<AllView>>();
  private readonly leaveKeys: () => void;
  private errorTree: Tree | null = null;
  private ownError = false;
  private frame = 0;
  private timer: number | null = null;
  private disposed = false;
}

/** A run without anything below it has no tasks to be listed, and a timeline only of several attempts. */
function shownTabs(model: TreeModel, tree: Tree): readonly TabId[] {
  if (tree.rows.length > 0 || model.more > 0) {
    return TABS;
  }
  return tree.root.attempt > 1 ? ['timeline', 'logs'] : ['logs'];
}

/** A drawing that is given something else than what it wants. */
function adapted<T>(drawing: TabDrawing<T>, from: (view: AllView) => T): TabDrawing<AllView> {
  return {
    element: drawing.element,
    update: view => drawing.update(from(view)),
    dispose: () => drawing.dispose()
  };
}
