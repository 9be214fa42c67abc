import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { ApiError } from '../api/client';
import type { RunJSON } from '../api/schema';
import type { RunsModel } from './runs';
import { hasEnded } from './table';

const KEY = 'jupyter-wf:started';

/** The part of the browser's storage that is used. */
export type Memory = Pick<Storage, 'getItem' | 'setItem'>;

/**
 * The runs that were started from this browser window, until they end: `ended` is emitted once for each.
 * They are kept in the window's session storage, so that a reload of the page forgets none.
 */
export class StartedRuns {
  constructor(
    private readonly runs: RunsModel,
    private readonly memory: Memory
  ) {
    this.ids = new Set(this.recall());
    runs.seen.connect((_, run) => this.look(run), this);
  }

  get ended(): ISignal<this, RunJSON> {
    return this.endedSignal;
  }

  add(run: RunJSON): void {
    this.ids.add(run.id);
    this.remember();
    this.look(run);
  }

  /** Look after the runs that were started before the page was loaded anew. */
  async resume(): Promise<void> {
    if (this.ids.size > 0) {
      this.runs.start();
    }
    for (const id of [...this.ids]) {
      try {
        this.look(await this.runs.client.run(id));
      } catch (reason) {
        if (reason instanceof ApiError && reason.status === 404) {
          this.forget(id);
        }
      }
    }
  }

  private look(run: RunJSON): void {
    if (this.ids.has(run.id) && hasEnded(run)) {
      this.forget(run.id);
      this.endedSignal.emit(run);
    }
  }

  private forget(id: string): void {
    this.ids.delete(id);
    this.remember();
  }

  private recall(): string[] {
    try {
      const ids: unknown = JSON.parse(this.memory.getItem(KEY) ?? '[]');
      return Array.isArray(ids) ? ids.filter((id): id is string => typeof id === 'string') : [];
    } catch {
      return [];
    }
  }

  private remember(): void {
    try {
      this.memory.setItem(KEY, JSON.stringify([...this.ids]));
    } catch {
      // Storage is full or forbidden: the runs are still looked after until the page is left.
    }
  }

  private readonly endedSignal = new Signal<this, RunJSON>(this);
  private readonly ids: Set<string>;
}
