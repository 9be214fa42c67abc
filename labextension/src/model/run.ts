import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { ApiError, messageOf, type WorkflowClient } from '../api/client';
import type { EventSocket, SocketStatus } from '../api/events';
import type { RunJSON, StreamJSON } from '../api/schema';
import type { OpenSocket } from './runs';
import { takeStream } from './stream';
import { TreeModel } from './treeModel';

/** What a run page shows around the run itself. */
export interface RunView {
  readonly phase: 'loading' | 'ready' | 'missing' | 'failed';
  readonly connection: SocketStatus;
  readonly problem: string | null;
  readonly run: RunJSON | null;
}

const RELOAD_DELAY = 5000;

/** One run and everything below it, live: `tree`. Emits `changed` after each change. */
export class RunModel {
  readonly tree = new TreeModel();

  constructor(
    readonly runId: string,
    private readonly client: WorkflowClient,
    private readonly openSocket: OpenSocket
  ) {}

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get view(): RunView {
    return {
      phase: this.phase,
      connection: this.socket?.status ?? 'connecting',
      problem: this.problem,
      run: this.tree.run
    };
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

  /** Load the run with everything below it, and follow it. */
  async load(): Promise<void> {
    window.clearTimeout(this.timer);
    this.socket?.dispose();
    this.socket = null;
    try {
      const tree = await this.client.tree(this.runId);
      if (this.disposed) {
        return;
      }
      this.tree.forget();
      this.tree.take(tree);
      // The tree is at least as new as its number: nothing falls between the two.
      this.follow(tree.seq, tree.run.id);
      this.phase = 'ready';
      this.problem = null;
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

  /** What the tree does not hold of a run, its parameters above all. Rejects with `ApiError`. */
  describe(id: string): Promise<RunJSON> {
    return this.client.run(id);
  }

  cancel(): Promise<boolean> {
    return this.attempt(async () => {
      await this.client.cancel(this.runId);
      const { run } = this.tree;
      if (run !== null) {
        // Shown from the moment the server has accepted it, before the run's owner has answered.
        const state = { ...run.state, type: 'CANCELLING', name: 'Cancelling', message: null };
        this.take({ seq: 0, events: [], runs: [{ ...run, state }] });
      }
    });
  }

  retry(): Promise<boolean> {
    return this.attempt(() => this.client.retry(this.runId));
  }

  /** Begin the run's next attempt: from what failed on, or only what failed and what depends on it. */
  goOn(how: 'resume' | 'repair'): Promise<boolean> {
    return this.attempt(() => this.client.goOn(this.runId, how));
  }

  /** Run the notebook once more, as a new run; null where that was refused. */
  async rerun(): Promise<RunJSON | null> {
    let made: RunJSON | null = null;
    await this.attempt(async () => {
      made = await this.client.rerun(this.runId);
    });
    return made;
  }

  /**
   * The contents path of the executed notebook, or of a copy of the notebook as it was when it was run; null (and a
   * problem to be shown) where there is none. An executed notebook that lies outside the folder that Jupyter shows is
   * copied next to the notebook that was run.
   */
  async notebook(what: 'executed' | 'snapshot'): Promise<string | null> {
    const known = this.tree.run?.source.executed_path;
    if (what === 'executed' && typeof known === 'string' && known !== '') {
      return known;
    }
    let path: string | null = null;
    await this.attempt(async () => {
      path = (await this.client.copyNotebook(this.runId, what)).path;
    });
    return path;
  }

  dismissProblem(): void {
    this.problem = null;
    this.touch();
  }

  private follow(after: number, logs: string): void {
    const socket = this.openSocket({ settings: this.client.settings, after, logs });
    socket.message.connect((_, message) => this.take(message), this);
    socket.statusChanged.connect(() => this.touch(), this);
    socket.restarted.connect(() => void this.load(), this);
    this.socket = socket;
  }

  private take(message: StreamJSON): void {
    if (takeStream(this.tree, message)) {
      this.touch();
    }
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

  private touch(): void {
    if (!this.disposed) {
      this.changedSignal.emit();
    }
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private phase: RunView['phase'] = 'loading';
  private problem: string | null = null;
  private socket: EventSocket | null = null;
  private disposed = false;
  private timer: number | undefined;
}
