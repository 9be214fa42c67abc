import { orderLayers, type Layers } from './order';
import { type Link, rankNodes } from './rank';

/** The way the edges go. */
export type Direction = 'right' | 'down';

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where everything is: the upper left corner of each node, the points of each edge, and how much room it takes. */
export interface Placed extends Size {
  readonly corners: readonly Point[];
  readonly ways: readonly { readonly link: Link; readonly points: readonly Point[] }[];
}

const GAP = 18;
const BEND_GAP = 12;
const BEND = 4;
const ROUNDS = 6;

/** A node's extent along the edges and across them. */
interface Extent {
  readonly along: number;
  readonly across: number;
}

/**
 * Lay out a graph in layers along `direction`. The same input always gives the same picture. An edge's points come
 * in the direction of its link: out of its first node, along its bends, to its second node.
 */
export function placeLayers(
  sizes: readonly Size[],
  links: readonly Link[],
  direction: Direction
): Placed {
  const flat = direction === 'right';
  const extents = sizes.map(({ width, height }): Extent =>
    flat ? { along: width, across: height } : { along: height, across: width }
  );
  const ranked = rankNodes(sizes.length, links);
  const layers = orderLayers(ranked);
  const across = placeAcross(layers, extents);
  const { starts, widths, length } = placeAlong(layers, extents, ranked.links.length);
  const point = (along: number, at: number): Point =>
    flat ? { x: along, y: at } : { x: at, y: along };
  const layerOf: number[] = [];
  layers.layers.forEach((layer, index) => layer.forEach(node => (layerOf[node] = index)));
  const ends = (layer: number): number => starts[layer] + widths[layer];
  const begin = extents.map((extent, node) => {
    const layer = layerOf[node];
    return starts[layer] + (widths[layer] - extent.along) / 2;
  });
  const corners = extents.map((extent, node) =>
    point(begin[node], across[node] - extent.across / 2)
  );
  const ways = ranked.links.map(([from, to], index) => {
    // A narrow node beside a wide one: the edge passes the wide one before it bends.
    const along = [
      [begin[from] + extents[from].along, across[from]],
      [ends(layerOf[from]), across[from]],
      ...layers.bends[index].flatMap(bend => [
        [starts[layerOf[bend]], across[bend]],
        [ends(layerOf[bend]), across[bend]]
      ]),
      [starts[layerOf[to]], across[to]],
      [begin[to], across[to]]
    ];
    const points = along
      .filter(([at], place) => place === 0 || at > along[place - 1][0])
      .map(([at, height]) => point(at, height));
    return ranked.turned.has(index)
      ? { link: [to, from] as const, points: points.reverse() }
      : { link: [from, to] as const, points };
  });
  const breadth = extents.reduce(
    (most, { across: half }, node) => Math.max(most, across[node] + half / 2),
    0
  );
  return flat
    ? { corners, ways, width: length, height: breadth }
    : { corners, ways, width: breadth, height: length };
}

function placeAlong(
  { layers }: Layers,
  extents: readonly Extent[],
  links: number
): { starts: number[]; widths: number[]; length: number } {
  const gap = Math.min(84, 44 + 2 * Math.sqrt(links));
  const starts: number[] = [];
  const widths: number[] = [];
  let at = 0;
  for (const layer of layers) {
    const width = layer.reduce((most, node) => Math.max(most, extents[node]?.along ?? 0), 0);
    starts.push(at);
    widths.push(width);
    at += width + gap;
  }
  return { starts, widths, length: Math.max(0, at - gap) };
}

/** The middle of each node across the edges: as near to its neighbours as the order and the room in between allow. */
function placeAcross(graph: Layers, extents: readonly Extent[]): number[] {
  const { layers, count, size } = graph;
  const extent = (node: number): number => (node < count ? extents[node].across : BEND);
  const middle = new Array<number>(size).fill(0);
  const offsets = layers.map(layer => {
    let at = 0;
    return layer.map((node, index) => {
      if (index > 0) {
        const last = layer[index - 1];
        at += (extent(last) + extent(node)) / 2 + (last < count && node < count ? GAP : BEND_GAP);
      }
      return at;
    });
  });
  layers.forEach((layer, index) =>
    layer.forEach((node, at) => (middle[node] = offsets[index][at]))
  );
  for (let round = 0; round < ROUNDS; round++) {
    const down = round % 2 === 0;
    const last = round === ROUNDS - 1;
    for (let step = 0; step < layers.length; step++) {
      const index = down ? step : layers.length - 1 - step;
      settle(
        layers[index],
        offsets[index],
        middle,
        node => {
          const [first, second] = down
            ? [graph.before[node], graph.after[node]]
            : [graph.after[node], graph.before[node]];
          return last ? [...first, ...second] : first;
        },
        count
      );
    }
  }
  const least = layers.reduce(
    (all, layer) =>
      layer.reduce((min, node) => Math.min(min, middle[node] - extent(node) / 2), all),
    Infinity
  );
  return middle.map(each => each - least);
}

/**
 * Move the nodes of a layer to the mean of their neighbours: the positions with the least squares of what is missing,
 * that keep the order and the distances (pools of neighbours that push each other move as one).
 */
function settle(
  layer: readonly number[],
  offsets: readonly number[],
  middle: number[],
  near: (node: number) => readonly number[],
  count: number
): void {
  const pools: { sum: number; weight: number; nodes: number }[] = [];
  layer.forEach((node, index) => {
    let sum = 0;
    let weight = 0;
    for (const other of near(node)) {
      // Long edges are to be straight.
      const pull = node >= count && other >= count ? 8 : node >= count || other >= count ? 2 : 1;
      sum += pull * middle[other];
      weight += pull;
    }
    const wanted = weight > 0 ? sum / weight : middle[node];
    weight = weight > 0 ? weight : 0.1;
    let pool = { sum: weight * (wanted - offsets[index]), weight, nodes: 1 };
    while (pools.length > 0) {
      const last = pools[pools.length - 1];
      if (last.sum / last.weight < pool.sum / pool.weight) {
        break;
      }
      pools.pop();
      pool = {
        sum: last.sum + pool.sum,
        weight: last.weight + pool.weight,
        nodes: last.nodes + pool.nodes
      };
    }
    pools.push(pool);
  });
  let index = 0;
  for (const pool of pools) {
    for (let each = 0; each < pool.nodes; each++, index++) {
      middle[layer[index]] = pool.sum / pool.weight + offsets[index];
    }
  }
}
