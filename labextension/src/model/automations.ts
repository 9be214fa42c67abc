import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import type { AutomationClient } from '../api/automations';
import { ApiError, messageOf } from '../api/http';
import type { AutomationJSON, DeliveryJSON, TestedActionJSON } from '../api/schema';
import type { RunsModel } from './runs';

/** Nothing tells of a change of an automation: it is looked for (ms). */
const LOOK = 60_000;

/** An automation, and what of its newest deliveries did not work. */
export interface AutomationItem {
  readonly automation: AutomationJSON;
  readonly trouble: DeliveryJSON | null;
}

/** What came of a test: of each action, or why there was none. */
export interface Tested {
  readonly ok: boolean;
  readonly actions: readonly TestedActionJSON[];
  readonly problem: string | null;
}

/** What the section shows. */
export interface AutomationsView {
  readonly items: readonly AutomationItem[];
  /** Why the list could not be read, or the last request was refused. */
  readonly problem: string | null;
  /** The automations that wait for an answer of the server. */
  readonly busy: ReadonlySet<string>;
  /** Those whose test is under way. */
  readonly testing: ReadonlySet<string>;
  /** What came of the last test of each, until it is dismissed. */
  readonly tested: ReadonlyMap<string, Tested>;
}

/** The live list of automations. It is read when the list of runs is, and from time to time. */
export class AutomationsModel {
  constructor(
    readonly client: AutomationClient,
    private readonly runs: RunsModel
  ) {
    runs.loading.connect(this.onLoading, this);
  }

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get view(): AutomationsView {
    this.cached ??= this.makeView();
    return this.cached;
  }

  dispose(): void {
    if (!this.disposed) {
      this.disposed = true;
      window.clearTimeout(this.timer);
      this.runs.loading.disconnect(this.onLoading, this);
      Signal.clearData(this);
    }
  }

  find(id: string): AutomationJSON | undefined {
    return this.view.items.find(item => item.automation.id === id)?.automation;
  }

  /** Read the list anew. What is asked for while an answer is awaited is asked for once more after it. */
  async reload(): Promise<void> {
    window.clearTimeout(this.timer);
    this.again = this.reading !== null;
    this.reading ??= this.read();
    await this.reading;
  }

  /** Read the list anew where it has been read before: somebody looks at it again. */
  refresh(): void {
    if (this.known) {
      void this.reload();
    }
  }

  /** Switch an automation on or off. It is shown at once, and taken back if refused. */
  async setEnabled(id: string, enabled: boolean): Promise<boolean> {
    this.wanted.set(id, enabled);
    return this.request(
      id,
      () => this.client.setEnabled(id, enabled),
      () => this.wanted.delete(id)
    );
  }

  remove(id: string): Promise<boolean> {
    return this.request(id, () => this.client.remove(id));
  }

  /** Test an automation; what comes of it stands in `view.tested`. A second test waits for no first: it is not begun. */
  async test(id: string): Promise<void> {
    if (this.testing.has(id)) {
      return;
    }
    this.testing.add(id);
    this.tested.delete(id);
    this.touch();
    try {
      const { ok, actions } = await this.client.test(id);
      this.tested.set(id, { ok, actions, problem: null });
    } catch (reason) {
      this.tested.set(id, { ok: false, actions: [], problem: messageOf(reason) });
    }
    this.testing.delete(id);
    this.touch();
  }

  dismissTest(id: string): void {
    this.tested.delete(id);
    this.touch();
  }

  dismissProblem(): void {
    this.problem = null;
    this.unread = null;
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
    this.problem = refused;
    this.busy.delete(id);
    after();
    this.touch();
    return refused === null;
  }

  private async read(): Promise<void> {
    do {
      this.again = false;
      try {
        const { items } = await this.client.list();
        this.items = await Promise.all(items.map(each => this.withTrouble(each)));
        this.unread = null;
      } catch (reason) {
        this.unread = messageOf(reason);
      }
      this.known = true;
      this.touch();
    } while (this.again && !this.disposed);
    this.reading = null;
    if (!this.disposed) {
      this.timer = window.setTimeout(() => void this.reload(), LOOK);
    }
  }

  private async withTrouble(automation: AutomationJSON): Promise<AutomationItem> {
    try {
      const { items } = await this.client.deliveries(automation.id, automation.actions.length);
      return { automation, trouble: troubleOf(items) };
    } catch (reason) {
      if (reason instanceof ApiError && reason.status === 404) {
        // Deleted since the list was read.
        return { automation, trouble: null };
      }
      throw reason;
    }
  }

  private onLoading(): void {
    void this.reload();
  }

  private makeView(): AutomationsView {
    const items = this.items.map(item => {
      const enabled = this.wanted.get(item.automation.id);
      return enabled === undefined
        ? item
        : { ...item, automation: { ...item.automation, enabled } };
    });
    return {
      items,
      problem: this.problem ?? this.unread,
      busy: new Set(this.busy),
      testing: new Set(this.testing),
      tested: new Map(this.tested)
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
  private readonly testing = new Set<string>();
  private readonly tested = new Map<string, Tested>();
  private items: readonly AutomationItem[] = [];
  private problem: string | null = null;
  private unread: string | null = null;
  private reading: Promise<void> | null = null;
  private known = false;
  private again = false;
  private disposed = false;
  private timer: number | undefined;
  private cached: AutomationsView | null = null;
}

/** Of the newest delivery of each action the first that has not worked; what worked since makes up for what did not. */
function troubleOf(newest: readonly DeliveryJSON[]): DeliveryJSON | null {
  const seen = new Set<string>();
  for (const delivery of newest) {
    if (!seen.has(delivery.action_id) && delivery.state !== 'sent' && delivery.error !== null) {
      return delivery;
    }
    seen.add(delivery.action_id);
  }
  return null;
}
