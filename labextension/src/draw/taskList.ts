import { type Entry, Grouping, isGroupKey } from './groups';
import type { Tree, TreeRow } from './tree';

/** One visible line of the list of tasks. `level` is 1 for what lies directly below the run. */
export interface TaskItem {
  readonly entry: Entry;
  readonly level: number;
  readonly expandable: boolean;
  readonly expanded: boolean;
}

/** What the list is narrowed to; no types of state means all. */
export interface TaskFilter {
  readonly text: string;
  readonly states: ReadonlySet<string>;
}

export const NO_TASK_FILTER: TaskFilter = { text: '', states: new Set() };

/** Runs with at most this many below them are open from the start. */
export const OPEN_UP_TO = 50;

/** Whether a filter leaves anything out. */
export function narrows(filter: TaskFilter): boolean {
  return filter.text.trim() !== '' || filter.states.size > 0;
}

/** Whether a row passes: its state, and the text within its name, its task's name, its last line or its error. */
export function rowPasses(row: TreeRow, filter: TaskFilter): boolean {
  if (filter.states.size > 0 && !filter.states.has(row.state.type)) {
    return false;
  }
  const text = filter.text.trim().toLowerCase();
  return (
    text === '' ||
    [row.name, row.taskName, row.lastLog, row.error?.type, row.error?.message].some(
      each => each?.toLowerCase().includes(text) ?? false
    )
  );
}

/** The lines of the list of tasks, anew only where the tree, the filter or what is open has changed. */
export class TaskList {
  readonly grouping = new Grouping();

  /** `choices` tells which rows and groups the reader has opened or closed. */
  constructor(private readonly choices: Map<string, boolean>) {}

  get filter(): TaskFilter {
    return this.narrowed;
  }

  setFilter(filter: TaskFilter): void {
    this.narrowed = filter;
    this.listed = null;
  }

  /** Open or close a row or a group. */
  setExpanded(key: string, expanded: boolean): void {
    this.choices.set(key, expanded);
    this.listed = null;
  }

  /** Open whatever hides a run. */
  openTo(runId: string, tree: Tree): void {
    for (let row = tree.byId.get(runId); row !== undefined && row !== tree.root;) {
      const key = this.grouping.keyOf(row.id);
      if (key !== null && isGroupKey(key)) {
        this.setExpanded(key, true);
      }
      row = row.parentId === null ? undefined : tree.byId.get(row.parentId);
      if (row !== undefined && row.id !== tree.root.id) {
        this.setExpanded(row.id, true);
      } else {
        break;
      }
    }
  }

  items(tree: Tree): readonly TaskItem[] {
    if (this.tree !== tree || this.listed === null) {
      this.tree = tree;
      this.grouping.update(tree);
      this.listed = narrows(this.narrowed) ? this.passing(tree) : this.all(tree);
    }
    return this.listed;
  }

  private all(tree: Tree): TaskItem[] {
    const items: TaskItem[] = [];
    const visit = (entries: readonly Entry[], level: number): void => {
      for (const entry of entries) {
        const expandable = entry.summary !== null;
        const expanded = expandable && this.isExpanded(entry);
        items.push({ entry, level, expandable, expanded });
        if (expanded) {
          visit(
            entry.row === null ? this.grouping.opened(entry) : this.grouping.entries(entry.row.id),
            level + 1
          );
        }
      }
    };
    visit(this.grouping.entries(tree.root.id), 1);
    return items;
  }

  /** The rows that pass, below the rows that they lie in; nothing is grouped, so that each is seen. */
  private passing(tree: Tree): TaskItem[] {
    const shown = new Set<TreeRow>();
    for (const row of tree.rows) {
      if (rowPasses(row, this.narrowed)) {
        let above: TreeRow | undefined = row;
        while (above !== undefined && above.parentId !== null && !shown.has(above)) {
          shown.add(above);
          above = tree.byId.get(above.parentId);
        }
      }
    }
    const items: TaskItem[] = [];
    const visit = (parentId: string, level: number): void => {
      for (const entry of this.grouping.entries(parentId)) {
        const inside = entry.row === null ? this.grouping.opened(entry) : [entry];
        for (const one of inside) {
          if (one.row !== null && shown.has(one.row)) {
            items.push({ entry: one, level, expandable: false, expanded: false });
            if (one.summary !== null) {
              visit(one.row.id, level + 1);
            }
          }
        }
      }
    };
    visit(tree.root.id, 1);
    return items;
  }

  private isExpanded(entry: Entry): boolean {
    // A group, and a task that was mapped over a list, are one row until they are opened.
    const small =
      entry.row !== null && entry.row.kind !== 'task' && (entry.summary?.total ?? 0) <= OPEN_UP_TO;
    return this.choices.get(entry.key) ?? small;
  }

  private narrowed: TaskFilter = NO_TASK_FILTER;
  private tree: Tree | null = null;
  private listed: readonly TaskItem[] | null = null;
}
