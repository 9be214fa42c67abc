import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { messageOf, type WorkflowClient } from '../api/client';
import type { EventSocket, EventSocketOptions, SocketStatus } from '../api/events';
import type { RunJSON, StreamJSON } from '../api/schema';
import { NO_FILTER, passes, type RunFilter, statesOf } from './filter';
import { cancelAccepted, EMPTY_TABLE, newestFirst, type RunTable, shown, upsert } from './table';

export type OpenSocket = (options: EventSocketOptions) => EventSocket;

/** What the list shows. */
export interface RunsView {
  readonly phase: 'loading' | 'ready' | 'failed';
  readonly connection: SocketStatus;
  /** Why the list could not be loaded, or the last request was refused. */
  readonly problem: string | null;
  readonly filter: RunFilter;
  readonly runs: readonly RunJSON[];
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
}

export const PAGE_SIZE = 50;
const RELOAD_DELAY = 5000;

/** The live list of root runs: loads pages, follows the stream, sends requests. Emits `changed` after each change. */
export class RunsModel {
  constructor(
    readonly client: WorkflowClient,
    private readonly openSocket: OpenSocket
  ) {}

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  /** Every run as the stream brings it, root or not. */
  get seen(): ISignal<this, RunJSON> {
    return this.seenSignal;
  }

  /** Every message of the stream. What does not come as one (it began anew) is told by `loading`. */
  get heard(): ISignal<this, StreamJSON> {
    return this.heardSignal;
  }

  /** The list is read from its beginning: the stream is followed from here on. */
  get loading(): ISignal<this, void> {
    return this.loadingSignal;
  }

  get view(): RunsView {
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

  /** Load the list and follow it; does nothing when that has begun. */
  start(): void {
    if (!this.started) {
      this.started = true;
      void this.load();
    }
  }

  /** Load everything anew, now. */
  reload(): Promise<void> {
    this.started = true;
    return this.load();
  }

  setFilter(filter: RunFilter): Promise<void> {
    this.filter = filter;
    this.touch();
    return this.started ? this.loadFirstPage() : Promise.resolve();
  }

  async loadMore(): Promise<void> {
    if (this.next === null || this.loadingMore) {
      return;
    }
    const generation = this.generation;
    this.loadingMore = true;
    this.touch();
    await this.attempt(async () => {
      const page = await this.client.runs({ ...this.query(), cursor: this.next });
      if (generation === this.generation) {
        this.table = upsert(this.table, page.items);
        this.edge = page.items[page.items.length - 1] ?? this.edge;
        this.next = page.next;
      }
    });
    this.loadingMore = false;
    this.touch();
  }

  cancel(id: string): Promise<boolean> {
    return this.attempt(async () => {
      await this.client.cancel(id);
      this.table = cancelAccepted(this.table, id);
    });
  }

  retry(id: string): Promise<boolean> {
    return this.attempt(() => this.client.retry(id));
  }

  /** Show a run that another request has made, before the stream brings it. */
  add(run: RunJSON): void {
    this.start();
    this.take([run]);
  }

  /** Start a notebook as a workflow. Rejects with `ApiError`. */
  async startNotebook(path: string, parameters: Record<string, unknown> = {}): Promise<RunJSON> {
    const run = await this.client.start({ notebook: path, parameters });
    this.add(run);
    return run;
  }

  dismissProblem(): void {
    this.problem = null;
    this.touch();
  }

  private async load(): Promise<void> {
    window.clearTimeout(this.timer);
    this.socket?.dispose();
    this.socket = null;
    try {
      // The stream begins where the list was read or before it: nothing falls between the two.
      const { seq } = await this.client.meta();
      if (this.disposed) {
        return;
      }
      this.table = EMPTY_TABLE;
      this.follow(seq);
      this.loadingSignal.emit();
      await this.readFirstPage();
    } catch (reason) {
      if (!this.disposed) {
        this.phase = 'failed';
        this.problem = messageOf(reason);
        this.timer = window.setTimeout(() => void this.load(), RELOAD_DELAY);
      }
    }
    this.touch();
  }

  private follow(after: number): void {
    const socket = this.openSocket({ settings: this.client.settings, after });
    socket.message.connect((_, message) => {
      this.take(message.runs);
      this.heardSignal.emit(message);
    }, this);
    socket.statusChanged.connect(() => this.touch(), this);
    socket.restarted.connect(() => void this.load(), this);
    this.socket = socket;
  }

  private async loadFirstPage(): Promise<void> {
    await this.attempt(() => this.readFirstPage());
  }

  private async readFirstPage(): Promise<void> {
    const generation = ++this.generation;
    const page = await this.client.runs(this.query());
    if (generation === this.generation && !this.disposed) {
      this.table = upsert(this.table, page.items);
      this.edge = page.items[page.items.length - 1] ?? null;
      this.next = page.next;
      this.phase = 'ready';
      this.problem = null;
    }
  }

  private take(runs: readonly RunJSON[]): void {
    const roots = runs.filter(run => run.parent_id === null);
    const table = upsert(this.table, roots);
    if (table !== this.table) {
      this.table = table;
      this.touch();
    }
    for (const run of runs) {
      this.seenSignal.emit(run);
    }
  }

  /** Do something that the server may refuse: the refusal is shown. Returns whether it was done. */
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

  private query(): { states: readonly string[]; text: string; roots: boolean; limit: number } {
    const { choice, text } = this.filter;
    return { states: statesOf(choice), text: text.trim(), roots: true, limit: PAGE_SIZE };
  }

  private makeView(): RunsView {
    const { table, filter, edge, next } = this;
    const runs = [...table.runs.values()]
      .map(run => shown(table, run))
      .filter(run => passes(run, filter))
      // What lies beyond the last loaded page would stand there with gaps: it comes with its page.
      .filter(run => next === null || edge === null || newestFirst(run, edge) <= 0)
      .sort(newestFirst);
    return {
      phase: this.phase,
      connection: this.socket?.status ?? 'connecting',
      problem: this.problem,
      filter,
      runs,
      hasMore: next !== null,
      loadingMore: this.loadingMore
    };
  }

  private touch(): void {
    this.cached = null;
    if (!this.disposed) {
      this.changedSignal.emit();
    }
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private readonly seenSignal = new Signal<this, RunJSON>(this);
  private readonly heardSignal = new Signal<this, StreamJSON>(this);
  private readonly loadingSignal = new Signal<this, void>(this);
  private table: RunTable = EMPTY_TABLE;
  private filter: RunFilter = NO_FILTER;
  private phase: RunsView['phase'] = 'loading';
  private problem: string | null = null;
  private socket: EventSocket | null = null;
  private edge: RunJSON | null = null;
  private next: string | null = null;
  private loadingMore = false;
  private started = false;
  private disposed = false;
  private generation = 0;
  private timer: number | undefined;
  private cached: RunsView | null = null;
}
