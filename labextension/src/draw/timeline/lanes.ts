import { type Entry, entryTimes, Grouping, isGroupKey } from '../groups';
import type { Tree } from '../tree';

/** Runs with at most so many entries below them are open from the start. */
const OPEN_UP_TO = 50;

/** One line of the timeline. */
export interface Lane {
  readonly entry: Entry;
  /** 1 for the run itself. */
  readonly level: number;
  readonly openable: boolean;
  readonly open: boolean;
}

/** The lines of a timeline: the run, below it what it has started, in the order of the starts. */
export class Lanes {
  readonly grouping = new Grouping();
  private readonly choices = new Map<string, boolean>();
  private tree: Tree | null = null;
  private lanes: readonly Lane[] = [];

  /** The lines from top to bottom; what has not started yet comes last among its siblings. */
  of(tree: Tree): readonly Lane[] {
    if (tree !== this.tree) {
      this.tree = tree;
      this.grouping.update(tree);
      const { root } = tree;
      const entry = { key: root.id, parentId: '', name: root.name, row: root, rows: [root] };
      const lanes: Lane[] = [];
      const inside = this.grouping.entries(root.id);
      const open = inside.length > 0 && (this.choices.get(root.id) ?? true);
      const top = { ...entry, summary: null };
      lanes.push({ entry: top, level: 1, openable: inside.length > 0, open });
      if (open) {
        this.add(lanes, inside, 2);
      }
      this.lanes = lanes;
    }
    return this.lanes;
  }

  /** Open or close a line. */
  setOpen(key: string, open: boolean): void {
    this.choices.set(key, open);
    this.tree = null;
  }

  /** Open whatever hides a run. */
  openTo(id: string, tree: Tree): void {
    this.of(tree);
    let row = tree.byId.get(id);
    while (row !== undefined && row.id !== tree.root.id) {
      const key = this.grouping.keyOf(row.id);
      if (key !== null && isGroupKey(key)) {
        this.setOpen(key, true);
      }
      row = tree.byId.get(row.parentId ?? tree.root.id);
      this.setOpen(row?.id ?? tree.root.id, true);
    }
  }

  private add(lanes: Lane[], entries: readonly Entry[], level: number): void {
    for (const entry of byStart(entries)) {
      const inside =
        entry.row === null ? this.grouping.opened(entry) : this.grouping.entries(entry.key);
      const openable = inside.length > 0;
      const usual = entry.row !== null && entry.row.kind !== 'task' && inside.length <= OPEN_UP_TO;
      const open = openable && (this.choices.get(entry.key) ?? usual);
      lanes.push({ entry, level, openable, open });
      if (open) {
        this.add(lanes, inside, level + 1);
      }
    }
  }
}

function byStart(entries: readonly Entry[]): readonly Entry[] {
  const starts = entries.map(entry => entryTimes(entry).startedAt ?? Infinity);
  if (starts.every((start, at) => at === 0 || starts[at - 1] <= start)) {
    return entries;
  }
  return entries
    .map((entry, at) => ({ entry, at, start: starts[at] }))
    .sort((a, b) => (a.start === b.start ? a.at - b.at : a.start - b.start))
    .map(({ entry }) => entry);
}
