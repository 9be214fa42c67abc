import { type Span, type Tree, treeOf, type TreeRow } from '../src/draw/tree';

/** When the runs of these trees begin, in ms since the epoch. */
export const T0 = Date.UTC(2026, 0, 31, 12, 0, 0);

/** One run as it is drawn; a task `load` that took two seconds, unless told otherwise. */
export function treeRow(id: string, changes: Partial<TreeRow> = {}): TreeRow {
  return {
    id,
    parentId: 'root',
    name: id,
    kind: 'task',
    taskName: id,
    state: someState('COMPLETED'),
    attempt: 1,
    maxAttempts: 1,
    createdAt: T0,
    spans: [runSpan(0, 2)],
    upstream: [],
    lastLog: null,
    error: null,
    progress: null,
    stale: null,
    ...changes
  };
}

export function someState(
  type: string,
  name = type[0] + type.slice(1).toLowerCase(),
  message: string | null = null
): TreeRow['state'] {
  return { type, name, message };
}

/** From and to in seconds after T0; `to` is null while it goes on. */
export function runSpan(
  from: number,
  to: number | null,
  attempt = 1,
  kind: Span['kind'] = 'run'
): Span {
  return { kind, attempt, from: T0 + 1000 * from, to: to === null ? null : T0 + 1000 * to };
}

export const someRoot = treeRow('root', {
  parentId: null,
  kind: 'flow',
  taskName: null,
  name: 'nightly',
  state: someState('RUNNING'),
  spans: [runSpan(0, null)]
});

/** A tree of these rows below a running flow. */
export function someTree(rows: readonly TreeRow[], root: TreeRow = someRoot): Tree {
  return treeOf(root, rows);
}

/** The tree with one row changed, all others the same objects. */
export function withRow(tree: Tree, id: string, changes: Partial<TreeRow>): Tree {
  return someTree(
    tree.rows.map(row => (row.id === id ? { ...row, ...changes } : row)),
    tree.root.id === id ? { ...tree.root, ...changes } : tree.root
  );
}

/** `count` calls of one task. */
export function calls(
  taskName: string,
  count: number,
  changes: (index: number) => Partial<TreeRow> = () => ({})
): TreeRow[] {
  return Array.from({ length: count }, (_, index) =>
    treeRow(`${taskName}-${index}`, { taskName, ...changes(index) })
  );
}
