import type { ProgressJSON, RunJSON } from '../api/schema';
import type { ChangedJSON, EarlierJSON, LineJSON, MadeJSON, TreeJSON } from '../api/tree';
import { LogBuffer } from './logBuffer';
import { readSpans } from './spans';
import type { Tree, TreeRow } from './treeRows';

/** What became of a message: taken in, not needed any more, or not fit because others before it are missing. */
export type Taken = 'taken' | 'old' | 'gap';

/** A row before its first state has arrived. */
const NO_STATE = { type: 'PENDING', name: 'Pending', message: null };

/**
 * A run, everything below it and its newest log lines, kept up to date by the kernel's or the server's messages. It
 * changes in place; `tree` is a new object after each change, as are those of its rows that
 * have changed.
 */
export class TreeModel {
  readonly logs = new LogBuffer();
  tree: Tree | null = null;
  run: RunJSON | null = null;
  live = false;
  canRetry = false;
  lastLog: string | null = null;
  progress: ProgressJSON = { total: 0, done: 0, counts: {} };
  stale: string | null = null;
  /** How many runs there are below the root that have no row. */
  more = 0;
  earlier: EarlierJSON | null = null;
  /** How many rows there are of each type of state, the root not among them. */
  readonly counts = new Map<string, number>();

  /** The number of the message that was taken last, -1 before the first one. */
  get seq(): number {
    return this.last;
  }

  /** Whether time goes on: the run lives, and somebody sends. */
  get ticks(): boolean {
    return this.live && !this.frozen;
  }

  /** The sender's clock now, in ms since the epoch; it stands still when nothing goes on. */
  now(): number {
    return this.ticks ? Date.now() + this.ahead : this.stillAt;
  }

  /** Nobody sends any more: the clock stops. */
  freeze(): void {
    this.stillAt = this.now();
    this.frozen = true;
  }

  /** Take in a message. After a `gap` the whole tree has to be asked for. */
  take(message: TreeJSON): Taken {
    if (message.reset) {
      if (this.run !== null && message.run.id === this.run.id && message.seq < this.last) {
        return 'old';
      }
      this.begin(message);
    } else {
      if (this.tree === null || message.seq > this.last + 1) {
        return 'gap';
      }
      if (message.seq <= this.last) {
        return 'old';
      }
    }
    if (message.made.some((made, index) => made[0] > this.rows.length + index)) {
      return 'gap';
    }
    this.last = message.seq;
    this.takeFacts(message);
    for (const made of message.made) {
      this.make(made);
    }
    let root = this.rootRow(message);
    for (const changed of message.changed) {
      if (changed[0] < 0) {
        root = withChange(root, changed);
      } else if (changed[0] < this.rows.length) {
        this.put(withChange(this.rows[changed[0]], changed), changed[0]);
      }
    }
    this.takeLines(message.lines, message.dropped > 0);
    this.setRoot(root);
    return 'taken';
  }

  /** Take the next whole tree whatever its number: the sender counts anew. */
  forget(): void {
    this.last = -1;
  }

  /** Put a row in the place of the one with its id, or behind the others. The tree is made anew by `setRoot`. */
  put(row: TreeRow, index = this.places.get(row.id) ?? this.rows.length): void {
    const old = index < this.rows.length ? this.rows[index] : undefined;
    this.rows[index] = row;
    this.byId.set(row.id, row);
    if (old === undefined || old.id !== row.id) {
      this.places.set(row.id, index);
      this.count(row.state.type, 1);
    } else if (old.state.type !== row.state.type) {
      this.count(old.state.type, -1);
      this.count(row.state.type, 1);
    }
  }

  /** Put the root, and make a new tree of what is there. */
  setRoot(root: TreeRow): void {
    this.byId.set(root.id, root);
    // 10,000 references are copied in some microseconds.
    this.tree = { root, rows: this.rows.slice(), byId: this.byId };
  }

  /** The root's run as it is now, and whether it goes on. */
  setRun(run: RunJSON, live: boolean): void {
    this.stillAt = Date.now() + this.ahead;
    this.run = run;
    this.live = live;
    this.canRetry = run.can_retry;
    this.progress = run.progress ?? this.progress;
  }

  private begin(message: TreeJSON): void {
    const lines = this.logs.lines;
    const newest = message.lines.length > 0 ? message.lines[message.lines.length - 1][0] : null;
    const other = this.run?.id !== message.run.id;
    // Lines are counted anew: what is here belongs to another count.
    const behind = newest !== null && lines.length > 0 && newest < lines[lines.length - 1].key;
    if (other || behind) {
      this.logs.clear();
    }
    // New collections: who still holds the old tree goes on seeing it whole.
    this.rows = [];
    this.byId = new Map();
    this.places = new Map();
    this.counts.clear();
    this.tree = null;
  }

  private takeFacts(message: TreeJSON): void {
    this.run = message.run;
    this.live = message.live;
    this.canRetry = message.can_retry;
    this.lastLog = message.last_log;
    this.progress = message.progress;
    this.stale = message.stale;
    this.more = message.more;
    this.earlier = message.earlier;
    this.stillAt = Date.parse(message.now);
    this.ahead = this.stillAt - Date.now();
    this.frozen = false;
  }

  private make(made: MadeJSON): void {
    const parentId = made[2] < 0 ? this.run!.id : this.rows[made[2]].id;
    this.put(madeRow(made, parentId, this.byId.get(made[1]) ?? NOTHING_YET), made[0]);
  }

  private rootRow(message: TreeJSON): TreeRow {
    const { run } = message;
    return {
      ...(this.tree?.root ?? { spans: [] }),
      ...rootFacts(run),
      lastLog: message.last_log,
      progress: message.progress,
      stale: message.stale
    };
  }

  private takeLines(lines: readonly LineJSON[], dropped: boolean): void {
    this.logs.add(
      lines.map(([key, at, index, level, text]) => ({
        key,
        at,
        runId: (index < 0 ? undefined : this.rows[index])?.id ?? this.run!.id,
        level,
        message: text
      })),
      dropped
    );
  }

  private count(type: string, change: number): void {
    this.counts.set(type, (this.counts.get(type) ?? 0) + change);
  }

  private rows: TreeRow[] = [];
  private byId = new Map<string, TreeRow>();
  private places = new Map<string, number>();
  private last = -1;
  /** By how much (ms) the sender's clock is ahead of this machine's. */
  private ahead = 0;
  private stillAt = 0;
  private frozen = false;
}

const NOTHING_YET: TreeRow = {
  id: '',
  parentId: '',
  name: '',
  kind: '',
  taskName: null,
  state: NO_STATE,
  attempt: 1,
  maxAttempts: 1,
  createdAt: 0,
  spans: [],
  upstream: [],
  lastLog: null,
  error: null,
  progress: null,
  stale: null
};

/** What a run's JSON says for the row of the root. */
export function rootFacts(run: RunJSON): Omit<TreeRow, 'spans' | 'lastLog' | 'progress' | 'stale'> {
  return {
    id: run.id,
    parentId: null,
    name: run.name,
    kind: run.kind,
    taskName: run.task_name,
    state: { type: run.state.type, name: run.state.name, message: run.state.message },
    attempt: run.attempt,
    maxAttempts: run.max_attempts,
    createdAt: Date.parse(run.created_at),
    upstream: run.upstream,
    error: run.error
  };
}

// Rows are written out, not spread: making 10,000 of them takes a third of the time.

function madeRow(made: MadeJSON, parentId: string, known: TreeRow): TreeRow {
  return {
    id: made[1],
    parentId,
    name: made[3],
    kind: made[4],
    taskName: made[5],
    state: known.state,
    attempt: known.attempt,
    maxAttempts: made[7],
    createdAt: made[6],
    spans: known.spans,
    upstream: made[8],
    lastLog: known.lastLog,
    error: known.error,
    progress: known.progress,
    stale: known.stale
  };
}

function withChange(row: TreeRow, changed: ChangedJSON): TreeRow {
  return {
    id: row.id,
    parentId: row.parentId,
    name: row.name,
    kind: row.kind,
    taskName: row.taskName,
    state: { type: changed[1], name: changed[2], message: changed[5] },
    attempt: changed[3],
    maxAttempts: row.maxAttempts,
    createdAt: row.createdAt,
    spans: readSpans(changed[4]),
    upstream: row.upstream,
    lastLog: changed[6],
    error: changed[7],
    progress: changed[8],
    stale: changed[9]
  };
}
