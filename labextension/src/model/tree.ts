import type { RunJSON } from '../api/schema';
import { oldestFirst, type RunTable, shown } from './table';

/** One visible row of a run's tree. `level` is 1 for the children of the run itself. */
export interface TreeRow {
  readonly run: RunJSON;
  readonly level: number;
  readonly expandable: boolean;
  readonly expanded: boolean;
}

/** Rows with at most this many children are open from the start. */
export const OPEN_UP_TO = 50;

/** Which runs belong below `rootId`: those whose chain of parents, as far as it is known, leads there. */
export function belonging(
  rootId: string,
  known: ReadonlyMap<string, RunJSON>,
  candidates: readonly RunJSON[]
): RunJSON[] {
  const accepted = new Set<string>();
  const isIn = (id: string | null): boolean =>
    id !== null && (id === rootId || known.has(id) || accepted.has(id));
  // A parent is never younger than its child, so one pass in the order of birth finds whole chains.
  return [...candidates].sort(oldestFirst).filter(run => {
    const inside = run.id === rootId || known.has(run.id) || isIn(run.parent_id);
    if (inside) {
      accepted.add(run.id);
    }
    return inside;
  });
}

/** Whether a row is open: as the reader left it, else open if it has few children. */
export function isExpanded(run: RunJSON, choices: ReadonlyMap<string, boolean>): boolean {
  return choices.get(run.id) ?? (run.progress?.total ?? 0) <= OPEN_UP_TO;
}

/** The rows below `rootId` from top to bottom, those inside closed rows left out. */
export function treeRows(
  table: RunTable,
  rootId: string,
  choices: ReadonlyMap<string, boolean>
): TreeRow[] {
  const children = new Map<string, RunJSON[]>();
  for (const run of table.runs.values()) {
    if (run.parent_id !== null && run.id !== rootId) {
      const siblings = children.get(run.parent_id);
      if (siblings) {
        siblings.push(run);
      } else {
        children.set(run.parent_id, [run]);
      }
    }
  }
  const rows: TreeRow[] = [];
  const visit = (id: string, level: number): void => {
    for (const run of (children.get(id) ?? []).sort(oldestFirst)) {
      const expandable = children.has(run.id) || (run.progress?.total ?? 0) > 0;
      const expanded = expandable && isExpanded(run, choices);
      rows.push({ run: shown(table, run), level, expandable, expanded });
      if (expanded) {
        visit(run.id, level + 1);
      }
    }
  };
  visit(rootId, 1);
  return rows;
}

/** The ids of a run and of everything known below it. */
export function subtreeIds(table: RunTable, id: string): ReadonlySet<string> {
  const ids = new Set([id]);
  for (const run of [...table.runs.values()].sort(oldestFirst)) {
    if (run.parent_id !== null && ids.has(run.parent_id)) {
      ids.add(run.id);
    }
  }
  return ids;
}
