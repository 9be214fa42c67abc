export { type Span, type Tree, treeOf, type TreeRow } from '../model/treeRows';
