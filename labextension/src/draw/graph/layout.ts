import { type Direction, type Placed, placeLayers, type Point, type Size } from './place';
import type { Item, Scene } from './scene';

export const NODE: Size = { width: 184, height: 46 };
const PAD = 12;
const HEAD = 28;
const GRID_GAP = 16;
/** How wide something without edges is for its height. */
const RATIO: Record<Direction, number> = { right: 2.6, down: 0.7 };

export interface Rect extends Size, Point {}

/** One edge between two items, told by their keys, as it is to be drawn. */
export interface Way {
  readonly from: string;
  readonly to: string;
  readonly points: readonly Point[];
}

/** Where everything of a scene is; boxes come before what is inside of them. */
export interface Layout extends Size {
  readonly rects: ReadonlyMap<string, Rect>;
  readonly ways: readonly Way[];
}

/** Lay a scene out, from the innermost boxes outwards. */
export function layoutScene(scene: Scene, direction: Direction): Layout {
  const rects = new Map<string, Rect>();
  const ways: Way[] = [];
  const insides = new Map<Item, Inside>();
  const measure = (item: Item): Size => {
    if (!item.open || item.children.length === 0) {
      return NODE;
    }
    const inside = placeInside(item, item.children.map(measure), direction);
    insides.set(item, inside);
    const width = Math.max(NODE.width, inside.width + 2 * PAD);
    return { width, height: inside.height + HEAD + PAD };
  };
  const put = (item: Item, x: number, y: number): void => {
    const inside = insides.get(item);
    item.children.forEach((child, at) => {
      const corner = inside!.corners[at];
      const rect = { ...inside!.sizes[at], x: x + corner.x, y: y + corner.y };
      rects.set(child.key, rect);
      put(child, rect.x + PAD, rect.y + HEAD);
    });
    for (const { link, points } of inside?.ways ?? []) {
      const [from, to] = link.map(each => item.children[each].key);
      ways.push({ from, to, points: points.map(point => ({ x: x + point.x, y: y + point.y })) });
    }
  };
  if (scene.root.children.length === 0) {
    return { rects, ways, width: 0, height: 0 };
  }
  measure(scene.root);
  put(scene.root, 0, 0);
  const { width, height } = insides.get(scene.root)!;
  return { rects, ways, width, height };
}

interface Inside extends Placed {
  readonly sizes: readonly Size[];
}

/** What has edges in layers; below it, what has none, line by line in the order of creation. */
function placeInside(item: Item, sizes: readonly Size[], direction: Direction): Inside {
  const linked = [...new Set(item.links.flat())].sort((a, b) => a - b);
  const place = new Map(linked.map((at, index) => [at, index]));
  const graph = placeLayers(
    linked.map(at => sizes[at]),
    item.links.map(([from, to]) => [place.get(from)!, place.get(to)!] as const),
    direction
  );
  const alone = sizes.flatMap((_, at) => (place.has(at) ? [] : [at]));
  const grid = placeGrid(
    alone.map(at => sizes[at]),
    graph.width,
    direction
  );
  const top = linked.length > 0 && alone.length > 0 ? graph.height + 2 * GRID_GAP : 0;
  const corners: Point[] = [];
  linked.forEach((at, index) => (corners[at] = graph.corners[index]));
  alone.forEach((at, index) => {
    const { x, y } = grid.corners[index];
    corners[at] = { x, y: y + top };
  });
  return {
    sizes,
    corners,
    ways: graph.ways.map(({ link, points }) => ({
      link: [linked[link[0]], linked[link[1]]] as const,
      points
    })),
    width: Math.max(graph.width, grid.width),
    height: alone.length > 0 ? top + grid.height : graph.height
  };
}

function placeGrid(
  sizes: readonly Size[],
  least: number,
  direction: Direction
): Size & { corners: Point[] } {
  const cell = { width: 0, height: 0 };
  for (const { width, height } of sizes) {
    cell.width += (width + GRID_GAP) / sizes.length;
    cell.height += (height + GRID_GAP) / sizes.length;
  }
  const wanted = Math.sqrt((RATIO[direction] * sizes.length * cell.height) / (cell.width || 1));
  const limit = Math.max(least, Math.round(wanted) * cell.width, cell.width);
  const corners: Point[] = [];
  let [x, y, line, width] = [0, 0, 0, 0];
  for (const size of sizes) {
    if (x > 0 && x + size.width > limit) {
      [x, y, line] = [0, y + line + GRID_GAP, 0];
    }
    corners.push({ x, y });
    width = Math.max(width, x + size.width);
    line = Math.max(line, size.height);
    x += size.width + GRID_GAP;
  }
  return { corners, width, height: y + line };
}

/** An edge as a path: straight past a layer, curved from one to the next, with a head at its end. */
export function wayPath(points: readonly Point[], direction: Direction): string {
  const flat = direction === 'right';
  const first = points[0];
  const parts = [`M${at(first)}`];
  for (let index = 1; index < points.length; index++) {
    const [a, b] = [points[index - 1], points[index]];
    if (flat ? a.y === b.y : a.x === b.x) {
      parts.push(`L${at(b)}`);
    } else {
      const middle = flat ? (a.x + b.x) / 2 : (a.y + b.y) / 2;
      const [one, two] = flat
        ? [
            { x: middle, y: a.y },
            { x: middle, y: b.y }
          ]
        : [
            { x: a.x, y: middle },
            { x: b.x, y: middle }
          ];
      parts.push(`C${at(one)} ${at(two)} ${at(b)}`);
    }
  }
  const tip = points[points.length - 1];
  const before = points[points.length - 2] ?? tip;
  const back = (flat ? tip.x - before.x : tip.y - before.y) < 0 ? 7 : -7;
  const sides = [-4, 4].map(side =>
    flat ? { x: tip.x + back, y: tip.y + side } : { x: tip.x + side, y: tip.y + back }
  );
  return `${parts.join('')}M${at(sides[0])}L${at(tip)}L${at(sides[1])}`;
}

function at({ x, y }: Point): string {
  return `${Math.round(10 * x) / 10} ${Math.round(10 * y) / 10}`;
}
