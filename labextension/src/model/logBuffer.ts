/** A log line as it is shown. */
export interface LogLine {
  /** Grows from line to line. */
  readonly key: number;
  /** In ms since the epoch. */
  readonly at: number;
  readonly runId: string;
  readonly level: number;
  readonly message: string;
}

/** How many log lines of a run the browser keeps. */
export const LOG_LIMIT = 5_000;

/** The newest log lines, in the order of their keys. `lines` is one array, changed in place: `version` tells when. */
export class LogBuffer {
  constructor(private readonly limit = LOG_LIMIT) {}

  get lines(): readonly LogLine[] {
    return this.kept;
  }

  /** Another number after each change. */
  get version(): number {
    return this.changes;
  }

  /** Whether there were older lines that are not here. */
  get dropped(): boolean {
    return this.lost;
  }

  /** Add lines that follow; those that are here already are left out. */
  add(lines: readonly LogLine[], dropped = false): void {
    const last = this.kept.length > 0 ? this.kept[this.kept.length - 1].key : -Infinity;
    const fresh = lines.filter(line => line.key > last);
    if (fresh.length > 0) {
      this.kept.push(...fresh);
    }
    const excess = this.kept.length - this.limit;
    if (excess > 0) {
      this.kept.splice(0, excess);
    }
    const lost = this.lost || dropped || excess > 0;
    if (fresh.length > 0 || lost !== this.lost) {
      this.lost = lost;
      this.changes += 1;
    }
  }

  clear(): void {
    this.kept.length = 0;
    this.lost = false;
    this.changes += 1;
  }

  private readonly kept: LogLine[] = [];
  private lost = false;
  private changes = 0;
}
