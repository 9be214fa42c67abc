import { isClosed, isFailure, stateLabel } from './states';
import { plain } from './text';
import type { Tree, TreeRow } from './tree';

/** So many calls of one task below one parent are drawn as one. */
export const GROUP_FROM = 4;

/** What several runs come to; times are in ms since the epoch. */
export interface Summary {
  /** How many runs are in each type of state. */
  readonly counts: Readonly<Record<string, number>>;
  readonly total: number;
  /** How many will not go on in this attempt. */
  readonly done: number;
  readonly running: number;
  readonly failed: number;
  /** The state that most needs a look; its name is that of the runs in it where they agree. */
  readonly state: { readonly type: string; readonly name: string };
  /** The first start of an attempt, null where none has started. */
  readonly startedAt: number | null;
  /** The last end, null while one of them goes on or none has started. */
  readonly endedAt: number | null;
}

/** What is drawn as one: a run, or the calls of one task. A changed entry is a new object. */
export interface Entry {
  /** The run's id, or the key of a group, for which `isGroupKey` holds. */
  readonly key: string;
  readonly parentId: string;
  readonly name: string;
  /** The run; null for a group. */
  readonly row: TreeRow | null;
  /** The group's runs in the order of creation, or the one run. */
  readonly rows: readonly TreeRow[];
  /** Of the group's runs, or of the runs directly below the run; null for a run with nothing below it. */
  readonly summary: Summary | null;
}

/** The worst first: what a group shows where its runs differ. */
const WORST = [
  'CRASHED',
  'FAILED',
  'CANCELLING',
  'PAUSED',
  'RUNNING',
  'SCHEDULED',
  'PENDING',
  'CANCELLED',
  'COMPLETED'
];

/** Whether a key stands for several calls of a task rather than for one run. */
export function isGroupKey(key: string): boolean {
  return key.startsWith('group:');
}

/** The key of the calls of a task below a run. */
export function groupKey(parentId: string, taskName: string | null): string {
  return `group:${parentId}:${taskName}`;
}

/** The state that an entry is drawn in: a run's own, a group's worst. */
export function entryState(entry: Entry): {
  type: string;
  name: string;
  message: string | null;
} {
  return entry.row?.state ?? { ...summaryOf(entry).state, message: null };
}

/** `7 of 20` for groups and runs with runs below them, else an empty text. */
export function entryProgress(entry: Entry): string {
  return entry.summary === null ? '' : `${entry.summary.done} of ${entry.summary.total}`;
}

/** `load × 20`; a run's own name. */
export function entryTitle(entry: Entry): string {
  return entry.row === null ? `${entry.name} × ${entry.rows.length}` : entry.name;
}

/** `12 completed, 1 failed, 3 awaiting retry`: the words for a state or, of a group, for its runs' states. */
export function entryStateText(entry: Entry): string {
  if (entry.row !== null) {
    return stateLabel(entry.row.state).toLowerCase();
  }
  const { counts } = summaryOf(entry);
  return WORST.filter(type => counts[type] > 0)
    .map(type => `${counts[type]} ${type.toLowerCase()}`)
    .join(', ');
}

/** When an entry's first attempt began and when its last one ended, each null where it has not. */
export function entryTimes(entry: Entry): { startedAt: number | null; endedAt: number | null } {
  return entry.row === null ? summaryOf(entry) : rowTimes(entry.row);
}

/** When a run's first attempt began and when its last one ended, each null where it has not. */
export function rowTimes(row: TreeRow): { startedAt: number | null; endedAt: number | null } {
  let startedAt: number | null = null;
  let endedAt: number | null = null;
  for (const span of row.spans) {
    if (span.kind !== 'wait') {
      startedAt ??= span.from;
      endedAt = span.to;
    }
  }
  return { startedAt, endedAt: isClosed(row.state) ? endedAt : null };
}

/** The counts, the worst state and the times of runs. */
export function summarise(rows: readonly TreeRow[]): Summary {
  const counts: Record<string, number> = {};
  let done = 0;
  let failed = 0;
  let startedAt: number | null = null;
  let endedAt: number | null = null;
  for (const row of rows) {
    counts[row.state.type] = (counts[row.state.type] ?? 0) + 1;
    done += isClosed(row.state) ? 1 : 0;
    failed += isFailure(row.state) ? 1 : 0;
    for (const span of row.spans) {
      if (span.kind !== 'wait') {
        startedAt = startedAt === null ? span.from : Math.min(startedAt, span.from);
        endedAt = span.to === null ? endedAt : Math.max(endedAt ?? span.to, span.to);
      }
    }
  }
  return {
    counts,
    total: rows.length,
    done,
    running: counts.RUNNING ?? 0,
    failed,
    state: worstState(rows, counts),
    startedAt,
    endedAt: done === rows.length ? endedAt : null
  };
}

function worstState(
  rows: readonly TreeRow[],
  counts: Readonly<Record<string, number>>
): { type: string; name: string } {
  const type = WORST.find(each => counts[each] > 0) ?? rows[0]?.state.type ?? 'PENDING';
  let name: string | null = null;
  for (const { state } of rows) {
    if (state.type === type) {
      if (name !== null && name !== state.name) {
        return { type, name: type.charAt(0) + type.slice(1).toLowerCase() };
      }
      name = state.name;
    }
  }
  return { type, name: name ?? type };
}

function summaryOf(entry: Entry): Summary {
  return entry.summary ?? summarise(entry.rows);
}

/** The calls of one task below one parent, or one run that has no such siblings. Members are places in `rows`. */
interface Bucket {
  readonly key: string;
  readonly name: string;
  readonly members: number[];
  group: Entry | null;
}

/** What lies directly below one run. */
interface Below {
  readonly children: number[];
  readonly buckets: Map<string, Bucket>;
  summary: Summary | null;
  entries: readonly Entry[] | null;
}

const NONE: readonly Entry[] = [];

/**
 * The rows of a tree as what is drawn: siblings that call the same task are one entry from four on, where their
 * parent is not a task itself (a mapped cell is the group already). It is kept and updated: an update costs as much
 * as what changed and one comparison per row.
 */
export class Grouping {
  /** Grows when entries come or go, so that a layout knows when to be made anew. */
  structure = 0;
  /** Grows when rows come or go, or get values of other runs. */
  links = 0;
  private tree: Tree | null = null;
  /** A copy: the tree's own list is changed in place. */
  private rows: TreeRow[] = [];
  private runs: (Entry | null)[] = [];
  private buckets: Bucket[] = [];
  private places = new Map<string, number>();
  private below = new Map<string, Below>();
  private groups = new Map<string, Bucket>();

  /** Take over a tree; entries of what did not change stay the same objects. */
  update(tree: Tree): void {
    const { rows } = tree;
    if (tree === this.tree) {
      return;
    }
    if (tree.root.id !== this.tree?.root.id || !this.continues(rows)) {
      this.clear();
    }
    this.tree = tree;
    for (let index = 0; index < this.rows.length; index++) {
      const [row, old] = [rows[index], this.rows[index]];
      if (row !== old) {
        this.rows[index] = row;
        this.links += row.upstream.length === old.upstream.length ? 0 : 1;
        this.forget(index, this.parentOf(row));
      }
    }
    for (let index = this.rows.length; index < rows.length; index++) {
      this.rows.push(rows[index]);
      this.add(index);
    }
  }

  /** What lies directly below a run, in the order of creation; a group stands where its first run stood. */
  entries(parentId: string): readonly Entry[] {
    const below = this.below.get(parentId);
    if (below === undefined) {
      return NONE;
    }
    if (below.entries === null) {
      const entries: Entry[] = [];
      for (const index of below.children) {
        const bucket = this.buckets[index];
        if (bucket.members.length < GROUP_FROM) {
          entries.push(this.run(index));
        } else if (bucket.members[0] === index) {
          entries.push(this.group(bucket, parentId));
        }
      }
      below.entries = entries;
    }
    return below.entries;
  }

  /** The runs of a group as entries, for where it is opened. */
  opened(group: Entry): readonly Entry[] {
    return group.rows.map(row => this.run(this.places.get(row.id) ?? 0));
  }

  /** The entry with this key, as it is now. */
  entry(key: string): Entry | null {
    const index = this.places.get(key);
    if (index !== undefined) {
      return this.run(index);
    }
    const bucket = this.groups.get(key);
    return bucket === undefined
      ? null
      : this.group(bucket, this.parentOf(this.rows[bucket.members[0]]));
  }

  /** The key of the entry that shows a run while groups are closed; null for the root and for runs not there. */
  keyOf(runId: string): string | null {
    const index = this.places.get(runId);
    if (index === undefined) {
      return null;
    }
    const bucket = this.buckets[index];
    return bucket.members.length < GROUP_FROM ? runId : bucket.key;
  }

  /** Whether the rows begin with those known, each in its place, and none has moved below another. */
  private continues(rows: readonly TreeRow[]): boolean {
    const before = this.rows;
    if (rows.length < before.length) {
      return false;
    }
    for (let index = 0; index < before.length; index++) {
      const [was, is] = [before[index], rows[index]];
      if (
        was !== is &&
        (was.id !== is.id ||
          was.parentId !== is.parentId ||
          was.taskName !== is.taskName ||
          was.kind !== is.kind)
      ) {
        return false;
      }
    }
    return true;
  }

  private clear(): void {
    this.structure++;
    this.links++;
    this.rows = [];
    this.runs = [];
    this.buckets = [];
    this.places = new Map();
    this.below = new Map();
    this.groups = new Map();
  }

  private add(index: number): void {
    const row = this.rows[index];
    const parentId = this.parentOf(row);
    const below = this.belowOf(parentId);
    const id = this.bucketId(row, parentId);
    let bucket = below.buckets.get(id);
    if (bucket === undefined) {
      bucket = { key: id, name: plain(row.taskName ?? row.name), members: [], group: null };
      below.buckets.set(id, bucket);
    }
    bucket.members.push(index);
    if (bucket.members.length === GROUP_FROM) {
      this.groups.set(bucket.key, bucket);
    }
    below.children.push(index);
    this.places.set(row.id, index);
    this.buckets[index] = bucket;
    this.runs[index] = null;
    this.links++;
    if (bucket.members.length <= GROUP_FROM || below.children.length === 1) {
      this.structure++;
    }
    this.forget(index, parentId);
  }

  /** What was made of a row: its entry, its group's, its parent's with the counts, and the lists these are in. */
  private forget(index: number, parentId: string): void {
    this.runs[index] = null;
    this.buckets[index].group = null;
    const below = this.below.get(parentId);
    if (below !== undefined) {
      below.entries = null;
      below.summary = null;
    }
    const place = this.places.get(parentId);
    if (place !== undefined && this.runs[place] !== null) {
      this.runs[place] = null;
      this.buckets[place].group = null;
      const above = this.below.get(this.parentOf(this.rows[place]));
      if (above !== undefined) {
        above.entries = null;
      }
    }
  }

  private run(index: number): Entry {
    const known = this.runs[index];
    if (known !== null) {
      return known;
    }
    const row = this.rows[index];
    const below = this.below.get(row.id);
    if (below !== undefined) {
      below.summary ??= summarise(below.children.map(each => this.rows[each]));
    }
    const entry: Entry = {
      key: row.id,
      parentId: this.parentOf(row),
      name: plain(row.name),
      row,
      rows: [row],
      summary: below?.summary ?? null
    };
    this.runs[index] = entry;
    return entry;
  }

  private group(bucket: Bucket, parentId: string): Entry {
    if (bucket.group === null) {
      const rows = bucket.members.map(each => this.rows[each]);
      const { key, name } = bucket;
      bucket.group = { key, parentId, name, row: null, rows, summary: summarise(rows) };
    }
    return bucket.group;
  }

  private belowOf(parentId: string): Below {
    let below = this.below.get(parentId);
    if (below === undefined) {
      below = { children: [], buckets: new Map(), summary: null, entries: null };
      this.below.set(parentId, below);
    }
    return below;
  }

  /** A run whose parent is not there hangs below the root. */
  private parentOf(row: TreeRow): string {
    return row.parentId ?? this.tree?.root.id ?? '';
  }

  private bucketId(row: TreeRow, parentId: string): string {
    const place = this.places.get(parentId);
    const mapped = place !== undefined && this.rows[place].kind === 'task';
    return row.taskName === null || mapped ? row.id : groupKey(parentId, row.taskName);
  }
}
