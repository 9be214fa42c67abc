import type { ProgressJSON, RunErrorJSON } from '../api/schema';

/** A stretch of a run's life; times are in ms since the epoch, `to` is null while it goes on. */
export interface Span {
  kind: 'wait' | 'run' | 'pause';
  attempt: number;
  from: number;
  to: number | null;
}

/** One run as it is drawn. A changed run is a new object, so that `===` tells what has to be drawn again. */
export interface TreeRow {
  id: string;
  /** Null for the root only. */
  parentId: string | null;
  name: string;
  kind: string;
  /** The name of the task whose calls are drawn together; null for flows and cells. */
  taskName: string | null;
  state: { type: string; name: string; message: string | null };
  attempt: number;
  maxAttempts: number;
  createdAt: number;
  spans: readonly Span[];
  /** Ids of the runs whose values this one has got. */
  upstream: readonly string[];
  lastLog: string | null;
  error: RunErrorJSON | null;
  progress: ProgressJSON | null;
  /** Why what the run has left is out of date, null where it is not. */
  stale: string | null;
}

/**
 * A run and everything below it, in the order of creation; a new object after every change, and so is `rows`. `byId`
 * is one map from tree to tree, changed in place: copying it for one row in 10,000 would cost more than painting.
 */
export interface Tree {
  root: TreeRow;
  rows: readonly TreeRow[];
  byId: ReadonlyMap<string, TreeRow>;
}

/** The tree of rows that are there already. */
export function treeOf(root: TreeRow, rows: readonly TreeRow[]): Tree {
  return { root, rows, byId: new Map([root, ...rows].map(row => [row.id, row])) };
}
