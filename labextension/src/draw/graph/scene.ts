import { type Entry, type Grouping, isGroupKey, summarise } from '../groups';
import type { Tree, TreeRow } from '../tree';
import { lists, rankNodes } from './rank';

/** So many things are drawn side by side, at the top and inside of a box; the rest of a layer is one. */
export const MOST_NODES = 200;
export const MOST_INSIDE = 60;
/** A layer with more than this is a column that nobody can survey. */
export const MOST_IN_LAYER = 40;
/** A run with at most so many entries below it is open from the start … */
const OPEN_UP_TO = 12;
/** … if it has at most so many siblings like it, and is not deeper than this. */
const OPEN_SIBLINGS = 6;
const OPEN_DEPTH = 2;

/** What the graph draws in one place: an entry, or what there was no room for. */
export interface Item {
  readonly key: string;
  /** Null for what there was no room for. */
  readonly entryKey: string | null;
  /** The keys of the entries it stands for, where there was no room. */
  readonly hidden: readonly string[];
  readonly parent: Item | null;
  readonly openable: boolean;
  readonly open: boolean;
  /** What is inside, where it is open. */
  children: readonly Item[];
  /** The edges between those, by their places in `children`. */
  links: readonly (readonly [number, number])[];
}

/** Everything to be drawn, and where each run is to be seen. */
export interface Scene {
  readonly root: Item;
  readonly items: ReadonlyMap<string, Item>;
  /** The same text means the same layout. */
  readonly shape: string;
  /** The item that shows a run or a group: its own or that of what it is inside of. */
  find(id: string): Item | null;
}

/** What to draw of a tree. `choices` says which runs and groups somebody has opened or closed. */
export function makeScene(
  tree: Tree,
  grouping: Grouping,
  choices: ReadonlyMap<string, boolean>
): Scene {
  const root = makeItem(tree.root.id, null, true, true);
  fill(root, grouping.entries(tree.root.id), 0, { grouping, choices });
  const shown = new Map<string, Item>();
  const note = (item: Item): void => {
    for (const child of item.children) {
      shown.set(child.entryKey ?? child.key, child);
      note(child);
    }
  };
  note(root);
  const find = finder(tree, grouping, shown, root);
  connect(tree, find);
  const items = new Map<string, Item>();
  const limit = (item: Item, most: number): void => {
    limitItem(item, most);
    for (const child of item.children) {
      items.set(child.key, child);
      limit(child, MOST_INSIDE);
    }
  };
  limit(root, MOST_NODES);
  const covering = covers(items);
  return {
    root,
    items,
    shape: shapeOf(root),
    find: id => {
      for (let item = find(id); item !== null && item !== root; item = item.parent) {
        const seen = items.get(item.key) ?? covering.get(item.key);
        if (seen !== undefined) {
          return seen;
        }
      }
      return null;
    }
  };
}

/** An item's entry as it is now; for what there was no room for, one of all its runs. */
export function itemEntry(item: Item, grouping: Grouping): Entry | null {
  if (item.entryKey !== null) {
    return grouping.entry(item.entryKey);
  }
  const rows = item.hidden.flatMap(key => grouping.entry(key)?.rows ?? []);
  const name = `… ${item.hidden.length.toLocaleString('en')} more`;
  return { key: item.key, parentId: '', name, row: null, rows, summary: summarise(rows) };
}

interface Rules {
  grouping: Grouping;
  choices: ReadonlyMap<string, boolean>;
}

function makeItem(
  key: string,
  parent: Item | null,
  openable: boolean,
  open: boolean,
  hidden: readonly string[] = []
): Item {
  const entryKey = hidden.length > 0 ? null : key;
  return { key, entryKey, hidden, parent, openable, open, children: [], links: [] };
}

function fill(item: Item, entries: readonly Entry[], depth: number, rules: Rules): void {
  const { grouping, choices } = rules;
  const below = entries.map(entry =>
    entry.row === null ? grouping.opened(entry) : grouping.entries(entry.key)
  );
  const boxes = entries.filter((entry, at) => isBox(entry) && below[at].length > 0).length;
  item.children = entries.map((entry, at) => {
    const openable = below[at].length > 0;
    const usual =
      isBox(entry) &&
      boxes <= OPEN_SIBLINGS &&
      depth < OPEN_DEPTH &&
      below[at].length <= OPEN_UP_TO;
    const open = openable && (choices.get(entry.key) ?? usual);
    const child = makeItem(entry.key, item, openable, open);
    if (open) {
      fill(child, below[at], depth + 1, rules);
    }
    return child;
  });
}

/** Flows, notebooks and cells show what they contain; groups and mapped cells are numbers first. */
function isBox(entry: Entry): boolean {
  return entry.row !== null && entry.row.kind !== 'task';
}

/** Looks a run up: its own item, its group's, or that of the run above it. */
function finder(
  tree: Tree,
  grouping: Grouping,
  shown: ReadonlyMap<string, Item>,
  root: Item
): (id: string) => Item | null {
  const found = new Map<string, Item>();
  return id => {
    const way: string[] = [];
    let at: string | null = id;
    let item: Item | undefined;
    while (at !== null && item === undefined && !way.includes(at)) {
      const known: Item | undefined = found.get(at) ?? shown.get(at);
      const key: string | null = known ? null : grouping.keyOf(at);
      item = known ?? (key === null ? undefined : shown.get(key));
      if (item === undefined) {
        way.push(at);
        const row: TreeRow | undefined = tree.byId.get(at);
        const above: string | null =
          row?.parentId ?? (isGroupKey(at) ? parentOfGroup(at, grouping) : null);
        at = above;
        if (at === root.key) {
          item = root;
        }
      }
    }
    if (item === undefined) {
      return null;
    }
    for (const each of way) {
      found.set(each, item);
    }
    return item === root ? null : item;
  };
}

function parentOfGroup(key: string, grouping: Grouping): string | null {
  return grouping.entry(key)?.parentId ?? null;
}

/** An edge joins the two items that hold its ends and stand side by side. */
function connect(tree: Tree, find: (id: string) => Item | null): void {
  const links = new Map<Item, Map<string, readonly [number, number]>>();
  const places = new Map<Item, number>();
  const placed = new Set<Item>();
  const placeOf = (item: Item): number => {
    const parent = item.parent!;
    if (!placed.has(parent)) {
      placed.add(parent);
      parent.children.forEach((child, at) => places.set(child, at));
    }
    return places.get(item)!;
  };
  const seen = new Map<Item, Set<Item>>();
  for (const row of tree.rows) {
    const to = row.upstream.length > 0 ? find(row.id) : null;
    for (const id of to === null ? [] : row.upstream) {
      const from = find(id);
      if (from === null || from === to || seen.get(from)?.has(to!)) {
        continue;
      }
      seen.set(from, (seen.get(from) ?? new Set()).add(to!));
      const pair = siblings(from, to!);
      if (pair !== null) {
        const parent = pair[0].parent!;
        const link = [placeOf(pair[0]), placeOf(pair[1])] as const;
        const known = links.get(parent) ?? new Map<string, readonly [number, number]>();
        links.set(parent, known.set(link.join(), link));
      }
    }
  }
  for (const [parent, known] of links) {
    parent.links = [...known.values()];
  }
}

function siblings(a: Item, b: Item): [Item, Item] | null {
  const above = (item: Item): Item[] => (item.parent === null ? [] : [...above(item.parent), item]);
  const [one, two] = [above(a), above(b)];
  const at = one.findIndex((item, index) => item !== two[index]);
  return at < 0 || at >= two.length ? null : [one[at], two[at]];
}

/** Keep the first of each layer, as many as there is room for; the rest of a layer becomes one item. */
function limitItem(item: Item, most: number): void {
  const { children, links } = item;
  if (children.length <= Math.min(most, MOST_IN_LAYER)) {
    return;
  }
  const { rank } = rankNodes(children.length, links);
  const linked = new Set(links.flat());
  // What has no edges is a layer of its own, the last one; layers that are too many are drawn as the last of them.
  const top = Math.min(Math.max(0, ...rank), Math.floor(most / 2) - 1);
  const layers = lists(top + 2);
  children.forEach((_, at) => layers[linked.has(at) ? Math.min(rank[at], top) : top + 1].push(at));
  const free = roomFor(
    layers.map(layer => layer.length),
    most
  );
  const room = free.map((size, index) => (index > top ? size : Math.min(size, MOST_IN_LAYER)));
  if (layers.every((layer, index) => layer.length <= room[index])) {
    return;
  }
  const target = new Map<number, number>();
  const kept: Item[] = [];
  layers.forEach((layer, index) => {
    const keep = layer.length > room[index] ? layer.slice(0, room[index] - 1) : layer;
    for (const at of keep) {
      target.set(at, kept.push(children[at]) - 1);
    }
    const rest = layer.slice(keep.length);
    if (rest.length > 0) {
      const hidden = rest.map(at => children[at].key);
      const place =
        kept.push(makeItem(`more:${item.key}:${index}`, item, false, false, hidden)) - 1;
      rest.forEach(at => target.set(at, place));
    }
  });
  item.children = kept;
  item.links = links
    .map(([from, to]) => [target.get(from)!, target.get(to)!] as const)
    .filter(([from, to]) => from !== to);
}

/** How many of each layer are drawn, at least one: small layers whole, large ones alike. */
function roomFor(sizes: readonly number[], most: number): number[] {
  let [low, high] = [1, most];
  const total = (cap: number): number => sizes.reduce((sum, size) => sum + Math.min(size, cap), 0);
  while (low < high) {
    const cap = Math.ceil((low + high) / 2);
    if (total(cap) <= most) {
      low = cap;
    } else {
      high = cap - 1;
    }
  }
  return sizes.map(size => Math.min(size, low));
}

function covers(items: ReadonlyMap<string, Item>): Map<string, Item> {
  const covering = new Map<string, Item>();
  for (const item of items.values()) {
    for (const key of item.hidden) {
      covering.set(key, item);
    }
  }
  return covering;
}

function shapeOf(item: Item): string {
  const inside = item.children.map(child => {
    const kind = child.hidden.length > 0 ? 'm' : child.open ? 'o' : child.openable ? 'c' : 'n';
    return `${child.key}/${kind}${child.open ? `(${shapeOf(child)})` : ''}`;
  });
  return `${inside.join()};${item.links.join(' ')}`;
}
