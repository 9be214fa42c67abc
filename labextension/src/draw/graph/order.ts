import { type Link, lists, type Ranked } from './rank';

/** With more bends than this the longest edges go straight: nobody can follow so many anyway. */
export const MOST_BENDS = 2000;
const SWEEPS = 8;

/** Layers in which edges that pass a layer have a bend there. Numbers from `count` on are bends. */
export interface Layers {
  readonly count: number;
  readonly size: number;
  /** What stands in each layer, in order. */
  readonly layers: readonly (readonly number[])[];
  /** The neighbours in the layers before and after. */
  readonly before: readonly (readonly number[])[];
  readonly after: readonly (readonly number[])[];
  /** The bends of each edge, in its direction; empty for neighbours and for edges that go straight. */
  readonly bends: readonly (readonly number[])[];
}

/** Order the nodes of each layer so that few edges cross: each near the middle of its neighbours, there and back. */
export function orderLayers(ranked: Ranked): Layers {
  const { rank, links } = ranked;
  const count = rank.length;
  const bends = makeBends(rank, links);
  const size = bends.reduce((sum, each) => sum + each.length, count);
  const level = [...rank];
  const before = lists(size);
  const after = lists(size);
  links.forEach(([from, to], index) => {
    if (rank[to] - rank[from] > 1 && bends[index].length === 0) {
      return;
    }
    const way = [from, ...bends[index], to];
    for (let at = 1; at < way.length; at++) {
      after[way[at - 1]].push(way[at]);
      before[way[at]].push(way[at - 1]);
      level[way[at]] = rank[from] + at;
    }
  });
  const layers = firstOrder(level, before, after);
  return { count, size, layers: untangle(layers, before, after), before, after, bends };
}

function makeBends(rank: readonly number[], links: readonly Link[]): number[][] {
  const bends = lists(links.length);
  const long = links
    .map(([from, to], index) => ({ index, length: rank[to] - rank[from] - 1 }))
    .filter(({ length }) => length > 0)
    .sort((a, b) => a.length - b.length || a.index - b.index);
  let next = rank.length;
  for (const { index, length } of long) {
    if (next + length > rank.length + MOST_BENDS) {
      break;
    }
    for (let at = 0; at < length; at++) {
      bends[index].push(next++);
    }
  }
  return bends;
}

/** What hangs together stands together: in the order in which a walk along the edges comes by. */
function firstOrder(
  level: readonly number[],
  before: readonly number[][],
  after: readonly number[][]
): number[][] {
  const layers = lists(level.reduce((most, each) => Math.max(most, each + 1), 0));
  const seen = new Set<number>();
  for (let start = 0; start < level.length; start++) {
    const stack = [start];
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (!seen.has(node)) {
        seen.add(node);
        layers[level[node]].push(node);
        stack.push(...[...before[node], ...after[node]].reverse());
      }
    }
  }
  return layers;
}

function untangle(
  first: number[][],
  before: readonly number[][],
  after: readonly number[][]
): number[][] {
  const layers = first.map(layer => [...layer]);
  const place: number[] = [];
  layers.forEach(layer => layer.forEach((node, at) => (place[node] = at)));
  let best = layers.map(layer => [...layer]);
  let fewest = crossings(best, after);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const down = sweep % 2 === 0;
    for (let step = 1; step < layers.length; step++) {
      sortLayer(layers[down ? step : layers.length - 1 - step], down ? before : after, place);
    }
    const now = crossings(layers, after);
    if (now < fewest) {
      fewest = now;
      best = layers.map(layer => [...layer]);
    }
  }
  return best;
}

function sortLayer(layer: number[], near: readonly number[][], place: number[]): void {
  const wanted = new Map<number, number>();
  for (const node of layer) {
    const sum = near[node].reduce((total, each) => total + place[each], 0);
    wanted.set(node, near[node].length === 0 ? place[node] : sum / near[node].length);
  }
  layer.sort((a, b) => wanted.get(a)! - wanted.get(b)! || place[a] - place[b]);
  layer.forEach((node, at) => (place[node] = at));
}

/** How many pairs of edges cross, counted layer by layer with a tree of sums. */
export function crossings(
  layers: readonly (readonly number[])[],
  after: readonly (readonly number[])[]
): number {
  let total = 0;
  for (let index = 0; index + 1 < layers.length; index++) {
    const place = new Map(layers[index + 1].map((node, at) => [node, at]));
    const sums = new Array<number>(layers[index + 1].length + 1).fill(0);
    let seen = 0;
    for (const node of layers[index]) {
      const ends = after[node].map(to => place.get(to)!);
      for (const end of ends) {
        let upTo = 0;
        for (let at = end + 1; at > 0; at -= at & -at) {
          upTo += sums[at];
        }
        total += seen - upTo;
      }
      for (const end of ends) {
        for (let at = end + 1; at < sums.length; at += at & -at) {
          sums[at]++;
        }
      }
      seen += ends.length;
    }
  }
  return total;
}
