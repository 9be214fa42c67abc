import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { ApiError, messageOf, type WorkflowClient } from '../api/client';
import type { EventSocket, SocketStatus } from '../api/events';
import type { LogJSON, RunJSON, StreamJSON } from '../api/schema';
import { addLines, EMPTY_LOGS, lineOf, type LogBook } from './logs';
import type { OpenSocket } from './runs';
import { cancelAccepted, EMPTY_TABLE, type RunTable, shown, upsert } from './table';
import { belonging, isExpanded, subtreeIds, type TreeRow, treeRows } from './tree';

/** What a run page shows. */
export interface RunView {
  readonly phase: 'loading' | 'ready' | 'missing' | 'failed';
  readonly connection: SocketStatus;
  readonly problem: string | null;
  readonly run: RunJSON | null;
  readonly rows: readonly TreeRow[];
  /** How many direct children the server has that are not loaded yet. */
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
  /** The row whose log lines and error are looked at, or null for the whole run. */
  readonly selected: RunJSON | null;
  readonly lines: readonly LogJSON[];
  readonly linesDropped: boolean;
  /** Names of runs by id, for the log. */
  readonly names: ReadonlyMap<string, string>;
}

const PAGE_SIZE = 200;
const PAGES_AT_ONCE = 10;
const ROWS_AT_ONCE = 50;
const LOG_TAIL = 1000;
const RELOAD_DELAY = 5000;

/** One run and everything below it, live. Emits `changed` after each change. */
export class RunModel {
  constructor(
    readonly runId: string,
    private readonly client: WorkflowClient,
    private readonly openSocket: OpenSocket
  ) {}

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get view(): RunView {
    this.cached ??= this.makeView();
    return this.cached;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    if (!this.disposed) {
      this.disposed = true;
      window.clearTimeout(this.timer);
      this.socket?.dispose();
      Signal.clearData(this);
    }
  }

  /** Load the run and follow it. */
  async load(): Promise<void> {
    window.clearTimeout(this.timer);
    this.socket?.dispose();
    this.socket = null;
    try {
      await this.read();
    } catch (reason) {
      this.problem = messageOf(reason);
      if (reason instanceof ApiError && reason.status === 404 && reason.error === 'RunNotFound') {
        this.phase = 'missing';
      } else if (!this.disposed) {
        this.phase = 'failed';
        this.timer = window.setTimeout(() => void this.load(), RELOAD_DELAY);
      }
    }
    this.touch();
  }

  cancel(): Promise<boolean> {
    return this.attempt(async () => {
      await this.client.cancel(this.runId);
      this.table = cancelAccepted(this.table, this.runId);
    });
  }

  retry(): Promise<boolean> {
    return this.attempt(() => this.client.retry(this.runId));
  }

  /**
   * The contents path of the executed notebook, or null (and a problem to be shown) where there is none. One that lies
   * outside the folder that Jupyter shows is copied next to the notebook that was run.
   */
  async executedNotebook(): Promise<string | null> {
    const known = this.table.runs.get(this.runId)?.source.executed_path;
    if (typeof known === 'string' && known !== '') {
      return known;
    }
    let path: string | null = null;
    await this.attempt(async () => {
      path = (await this.client.copyNotebook(this.runId)).path;
    });
    return path;
  }

  select(id: string | null): void {
    this.selectedId = id === this.selectedId ? null : id;
    this.touch();
  }

  /** Open or close a row; its children are read when it is opened for the first time. */
  setExpanded(id: string, expanded: boolean): void {
    this.choices = new Map(this.choices).set(id, expanded);
    this.touch();
    if (expanded) {
      void this.readBelow(id).then(() => this.readOpenRows(id));
    }
  }

  async loadMore(): Promise<void> {
    if (this.next === null || this.loadingMore) {
      return;
    }
    this.loadingMore = true;
    this.touch();
    await this.attempt(() => this.readChildren(this.runId));
    this.loadingMore = false;
    this.touch();
  }

  dismissProblem(): void {
    this.problem = null;
    this.touch();
  }

  private async read(): Promise<void> {
    const { seq } = await this.client.meta();
    const run = await this.client.run(this.runId);
    if (this.disposed) {
      return;
    }
    this.table = upsert(EMPTY_TABLE, [run]);
    this.logs = EMPTY_LOGS;
    this.next = null;
    this.loadedRows = new Set();
    this.follow(seq);
    this.phase = 'ready';
    this.problem = null;
    this.touch();
    const [, page] = await Promise.all([
      this.readChildren(this.runId),
      this.client.logs(this.runId, { tree: true, tail: true, limit: LOG_TAIL })
    ]);
    this.logs = addLines(this.logs, page.items);
    if (page.items.length >= LOG_TAIL) {
      this.logs = { ...this.logs, dropped: true };
    }
    this.touch();
    await this.readOpenRows(this.runId);
  }

  private follow(after: number): void {
    const socket = this.openSocket({ settings: this.client.settings, after, logs: this.runId });
    socket.message.connect((_, message) => this.take(message), this);
    socket.statusChanged.connect(() => this.touch(), this);
    socket.restarted.connect(() => void this.load(), this);
    this.socket = socket;
  }

  private take(message: StreamJSON): void {
    const runs = belonging(this.runId, this.table.runs, message.runs);
    const table = upsert(this.table, runs);
    const ids = table.runs;
    const lines = message.events
      .map(lineOf)
      .filter((line): line is LogJSON => line !== null && ids.has(line.run_id));
    const logs = addLines(this.logs, lines);
    if (table !== this.table || logs !== this.logs) {
      this.table = table;
      this.logs = logs;
      this.touch();
    }
  }

  /** Read the next pages of a run's children, up to a limit at once for the run itself and all for its rows. */
  private async readChildren(id: string): Promise<void> {
    const isTop = id === this.runId;
    let cursor = isTop ? this.next : null;
    for (let pages = 0; pages < PAGES_AT_ONCE; pages++) {
      const page = await this.client.children(id, cursor, PAGE_SIZE);
      if (this.disposed) {
        return;
      }
      this.table = upsert(this.table, page.items);
      cursor = page.next;
      if (isTop) {
        this.next = cursor;
      }
      this.touch();
      if (cursor === null) {
        break;
      }
    }
  }

  /** Read a row's children, once; returns whether that went well. */
  private async readBelow(id: string): Promise<boolean> {
    if (this.loadedRows.has(id)) {
      return true;
    }
    this.loadedRows.add(id);
    const read = await this.attempt(() => this.readChildren(id));
    if (!read) {
      this.loadedRows.delete(id);
    }
    return read;
  }

  /** Rows below `id` that are open from the start show what is in them, however deep; a few requests, not hundreds. */
  private async readOpenRows(id: string): Promise<void> {
    const isUnread = (run: RunJSON): boolean =>
      run.id !== this.runId &&
      (run.progress?.total ?? 0) > 0 &&
      !this.loadedRows.has(run.id) &&
      isExpanded(run, this.choices);
    let read = 0;
    for (let rows = [id]; rows.length > 0 && !this.disposed;) {
      const inside = subtreeIds(this.table, id);
      rows = [...inside].filter(row => {
        const run = this.table.runs.get(row);
        return run !== undefined && isUnread(run);
      });
      for (const row of rows) {
        if (read >= ROWS_AT_ONCE) {
          this.choices = new Map(this.choices).set(row, false);
        } else if (!(await this.readBelow(row))) {
          return;
        }
        read += 1;
      }
    }
    this.touch();
  }

  private async attempt(action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (reason) {
      this.problem = messageOf(reason);
      return false;
    } finally {
      this.touch();
    }
  }

  private makeView(): RunView {
    const { table, logs, selectedId } = this;
    const run = table.runs.get(this.runId) ?? null;
    const chosen = selectedId === null ? null : (table.runs.get(selectedId) ?? null);
    const ids = chosen === null ? null : subtreeIds(table, chosen.id);
    return {
      phase: this.phase,
      connection: this.socket?.status ?? 'connecting',
      problem: this.problem,
      run: run && shown(table, run),
      rows: treeRows(table, this.runId, this.choices),
      hasMore: this.next !== null,
      loadingMore: this.loadingMore,
      selected: chosen && shown(table, chosen),
      lines: ids === null ? logs.lines : logs.lines.filter(line => ids.has(line.run_id)),
      linesDropped: logs.dropped,
      names: new Map([...table.runs.values()].map(item => [item.id, item.name]))
    };
  }

  private touch(): void {
    this.cached = null;
    if (!this.disposed) {
      this.changedSignal.emit();
    }
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private table: RunTable = EMPTY_TABLE;
  private logs: LogBook = EMPTY_LOGS;
  private phase: RunView['phase'] = 'loading';
  private problem: string | null = null;
  private socket: EventSocket | null = null;
  private choices: ReadonlyMap<string, boolean> = new Map();
  private loadedRows = new Set<string>();
  private selectedId: string | null = null;
  private next: string | null = null;
  private loadingMore = false;
  private disposed = false;
  private timer: number | undefined;
  private cached: RunView | null = null;
}
