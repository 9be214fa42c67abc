/**
 * The live view of a run below a notebook cell: plain DOM, for anywidget (JupyterLab, Notebook 7, VS Code, Colab).
 *
 * A snapshot arrives as the trait `view`; the DOM is changed in place, row by row. Everything is set as text.
 */
import '../../style/run_view.css';
import { make, setAttribute, setText } from '../draw/drawing';
import { isClosed, stateLabel } from '../draw/states';
import { plain } from '../draw/text';
import { drawHeader } from './header';
import { isView, type RowJSON, type ViewJSON, type WidgetModel } from './snapshot';
import { drawRow } from './row';

const TICK = 1000;

class RunView {
  readonly element = make('div', 'wf-RunView wf-root');
  private readonly header;
  private readonly rows = new Map<string, ReturnType<typeof drawRow>>();
  private readonly list = make('div', 'wf-RunView-tasks');
  private readonly more = make('div', 'wf-RunView-more');
  private readonly status = make('div', 'wf-hidden');
  private view: ViewJSON | null = null;
  private receivedAt = 0;
  private timer: number | null = null;
  private connected = true;

  constructor(private readonly model: WidgetModel) {
    this.header = drawHeader(message => this.model.send(message));
    this.list.setAttribute('role', 'list');
    this.list.setAttribute('aria-label', 'Tasks');
    this.status.setAttribute('role', 'status');
    this.status.setAttribute('aria-live', 'polite');
    this.element.append(this.header.element, this.list, this.more, this.status);
    this.element.hidden = true;
    model.on('change:view', this.onView);
    model.on('comm_live_update', this.onDisconnected);
    this.onView();
  }

  dispose(): void {
    this.model.off('change:view', this.onView);
    this.model.off('comm_live_update', this.onDisconnected);
    this.stop();
  }

  private readonly onView = (): void => {
    const view = this.model.get('view');
    if (!isView(view)) {
      return;
    }
    this.view = view;
    this.receivedAt = Date.now();
    this.element.hidden = false;
    this.announce(view);
    this.paint();
    if (view.live && this.connected) {
      this.timer ??= window.setInterval(this.paint, TICK);
    } else {
      this.stop();
    }
  };

  /** The kernel is gone: the picture stays as it was, and nothing can be asked any more. */
  private readonly onDisconnected = (): void => {
    this.connected = false;
    setAttribute(this.element, 'data-connected', 'false');
    this.stop();
    this.paint();
  };

  private stop(): void {
    if (this.timer !== null) {
      window.clearInterval(this.timer);
      this.timer = null;
    }
  }

  /** The kernel's clock now: its time in the snapshot, and what has passed here since. */
  private now(view: ViewJSON): number {
    const passed = view.live && this.connected ? Date.now() - this.receivedAt : 0;
    return Date.parse(view.now) + passed;
  }

  private readonly paint = (): void => {
    const { view } = this;
    if (view === null) {
      return;
    }
    const now = this.now(view);
    const { run } = view;
    setAttribute(this.element, 'data-state', run.state.type);
    setAttribute(this.element, 'data-run-id', run.id);
    this.header.update({ view, now, connected: this.connected });
    this.paintRows(view.tasks, now, {
      from: Date.parse(run.started_at ?? run.created_at),
      to: run.ended_at === null ? now : Date.parse(run.ended_at)
    });
    this.more.hidden = view.more <= 0;
    setText(this.more, view.more > 0 ? `and ${view.more} more` : '');
  };

  private paintRows(tasks: RowJSON[], now: number, axis: { from: number; to: number }): void {
    const seen = new Set<string>();
    const { scrollTop, clientHeight, scrollHeight } = this.list;
    // What runs is at the end: stay there, unless the reader has scrolled away from it.
    const follows = scrollTop + clientHeight >= scrollHeight - 8;
    tasks.forEach((row, index) => {
      seen.add(row.id);
      let drawing = this.rows.get(row.id);
      if (drawing === undefined) {
        drawing = drawRow();
        this.rows.set(row.id, drawing);
      }
      drawing.update({ row, now, axis });
      if (this.list.children[index] !== drawing.element) {
        this.list.insertBefore(drawing.element, this.list.children[index] ?? null);
      }
    });
    for (const [id, drawing] of this.rows) {
      if (!seen.has(id)) {
        drawing.element.remove();
        this.rows.delete(id);
      }
    }
    this.list.hidden = tasks.length === 0;
    if (follows) {
      this.list.scrollTop = this.list.scrollHeight;
    }
  }

  /** Screen readers hear the run's states, not every tick. */
  private announce(view: ViewJSON): void {
    const { run, progress } = view;
    const done =
      isClosed(run.state) && progress.total > 0
        ? `, ${progress.done} of ${progress.total} done`
        : '';
    setText(this.status, `${plain(run.name)}: ${stateLabel(run.state)}${done}`);
  }
}

/** Called by anywidget for each place the widget is shown at; returns what undoes it. */
export function render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
  const view = new RunView(model);
  el.append(view.element);
  return () => view.dispose();
}

export default { render };
