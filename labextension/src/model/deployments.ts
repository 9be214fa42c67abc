import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import type { DeploymentClient } from '../api/deployments';
import { messageOf } from '../api/http';
import type {
  DeploymentDetailJSON,
  DeploymentPageJSON,
  RunJSON,
  SaveDeploymentJSON,
  StreamJSON
} from '../api/schema';
import type { RunsModel } from './runs';
import { newestFirst } from './table';

/** How many of a deployment's last runs are shown. */
export const MARKS = 5;
/** Why a deployment is paused whose switch was used. */
export const PAUSED_HERE = 'Paused in JupyterLab';
/** Several changes close together are read once. */
const TOGETHER = 150;
/** Agents and schedulers come and go without an event: they are looked for (ms), more often while one is missing. */
const LOOK = 60_000;
const LOOK_FOR_MISSING = 3_000;

/** What the section shows. */
export interface DeploymentsView {
  readonly phase: 'loading' | 'ready' | 'failed';
  readonly items: readonly DeploymentDetailJSON[];
  /** Why the list could not be read, or the last request was refused. */
  readonly problem: string | null;
  /** How many agents there are to run what is due. */
  readonly agents: number;
  readonly scheduler: boolean;
  /** The deployments that wait for an answer of the server. */
  readonly busy: ReadonlySet<string>;
}

/**
 * The live list of deployments. It is read when the list of runs is, and again when the stream tells of a change or a
 * deployment has a new run; states of runs that are known are taken from the stream. Emits `changed` after each change.
 */
export class DeploymentsModel {
  constructor(
    readonly client: DeploymentClient,
    private readonly runs: RunsModel
  ) {
    runs.loading.connect(this.onLoading, this);
    runs.heard.connect(this.onHeard, this);
  }

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get view(): DeploymentsView {
    this.cached ??= this.makeView();
    return this.cached;
  }

  dispose(): void {
    if (!this.disposed) {
      this.disposed = true;
      window.clearTimeout(this.timer);
      this.runs.loading.disconnect(this.onLoading, this);
      this.runs.heard.disconnect(this.onHeard, this);
      Signal.clearData(this);
    }
  }

  find(id: string): DeploymentDetailJSON | undefined {
    return this.view.items.find(item => item.deployment.id === id);
  }

  /** Read the list anew. What is asked for while an answer is awaited is asked for once more after it. */
  async reload(): Promise<void> {
    window.clearTimeout(this.timer);
    if (this.reading !== null) {
      this.again = true;
      return this.reading;
    }
    this.reading = this.read();
    await this.reading;
    return undefined;
  }

  /** Pause a deployment, or have its schedules make runs again. It is shown at once, and taken back if refused. */
  async setPaused(id: string, paused: boolean): Promise<boolean> {
    this.wanted.set(id, paused);
    return this.request(
      id,
      () => (paused ? this.client.pause(id, PAUSED_HERE) : this.client.unpause(id)),
      () => this.wanted.delete(id)
    );
  }

  /** Start a run now; null where it was refused. */
  async runNow(id: string, parameters: Record<string, unknown> = {}): Promise<RunJSON | null> {
    let made: RunJSON | null = null;
    await this.request(id, async () => {
      made = await this.client.run(id, parameters);
      this.runs.add(made);
    });
    return made;
  }

  remove(id: string): Promise<boolean> {
    return this.request(id, () => this.client.remove(id));
  }

  /** Make a deployment, or change the one with the id. Rejects with `ApiError`. */
  async save(id: string | null, body: SaveDeploymentJSON): Promise<void> {
    await (id === null ? this.client.create(body) : this.client.change(id, body));
    this.runs.start();
    await this.reload();
  }

  dismissProblem(): void {
    this.problem = null;
    this.touch();
  }

  /** Do something that the server may refuse, and read the list after it. Returns whether it was done. */
  private async request(
    id: string,
    action: () => Promise<unknown>,
    after: () => void = () => undefined
  ): Promise<boolean> {
    this.busy.add(id);
    this.problem = null;
    this.touch();
    let refused: string | null = null;
    try {
      await action();
    } catch (reason) {
      refused = messageOf(reason);
    }
    await this.reload();
    this.problem = refused ?? this.problem;
    this.busy.delete(id);
    after();
    this.touch();
    return refused === null;
  }

  private async read(): Promise<void> {
    do {
      this.again = false;
      try {
        this.page = await this.client.list();
        this.phase = 'ready';
        this.unread = null;
      } catch (reason) {
        this.phase = this.page === null ? 'failed' : this.phase;
        this.unread = messageOf(reason);
      }
      this.touch();
    } while (this.again && !this.disposed);
    this.reading = null;
    const { items, agents, scheduler } = this.view;
    const missing = this.phase === 'failed' || (items.length > 0 && (agents === 0 || !scheduler));
    this.readIn(missing ? LOOK_FOR_MISSING : LOOK);
  }

  private readIn(delay: number): void {
    window.clearTimeout(this.timer);
    if (!this.disposed) {
      this.timer = window.setTimeout(() => void this.reload(), delay);
    }
  }

  private onLoading(): void {
    void this.reload();
  }

  private onHeard(_: RunsModel, message: StreamJSON): void {
    const taken = message.runs.map(run => this.take(run));
    const changed = message.events.some(event => event.kind === 'deployment');
    if (this.reading !== null) {
      // What is being read may be older than what has just come.
      this.again = this.again || changed || taken.some(each => each !== 'other');
    } else if (changed || taken.includes('new')) {
      this.readIn(TOGETHER);
    }
  }

  /** Take a run of a deployment as it is now. A new one has the list read again: its deployment's next run is another. */
  private take(run: RunJSON): 'known' | 'new' | 'other' {
    const { deployment_id: id } = run.source;
    if (run.parent_id !== null || typeof id !== 'string') {
      return 'other';
    }
    let known = false;
    const items = (this.page?.items ?? []).map(item => {
      if (item.deployment.id !== id) {
        return item;
      }
      const others = item.last_runs.filter(each => each.id !== run.id);
      known = others.length < item.last_runs.length;
      return { ...item, last_runs: [run, ...others].sort(newestFirst).slice(0, MARKS) };
    });
    if (this.page !== null) {
      this.page = { ...this.page, items };
      this.touch();
    }
    return known ? 'known' : 'new';
  }

  private makeView(): DeploymentsView {
    const { page, wanted } = this;
    const items = (page?.items ?? []).map(item => {
      const paused = wanted.get(item.deployment.id);
      return paused === undefined || paused === item.deployment.paused
        ? item
        : { ...item, deployment: { ...item.deployment, paused, paused_reason: null } };
    });
    return {
      phase: this.phase,
      items,
      problem: this.problem ?? this.unread,
      agents: page?.agents ?? 0,
      scheduler: page?.scheduler ?? false,
      busy: new Set(this.busy)
    };
  }

  private touch(): void {
    this.cached = null;
    if (!this.disposed) {
      this.changedSignal.emit();
    }
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private readonly wanted = new Map<string, boolean>();
  private readonly busy = new Set<string>();
  private phase: DeploymentsView['phase'] = 'loading';
  private page: DeploymentPageJSON | null = null;
  private problem: string | null = null;
  private unread: string | null = null;
  private reading: Promise<void> | null = null;
  private again = false;
  private disposed = false;
  private timer: number | undefined;
  private cached: DeploymentsView | null = null;
}
