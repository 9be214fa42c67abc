/** An edge between two nodes by their numbers. */
export type Link = readonly [from: number, to: number];

/** A graph in layers: every edge of `links` goes from a lower layer to a higher one. */
export interface Ranked {
  /** The layer of each node, from 0. */
  readonly rank: readonly number[];
  readonly links: readonly Link[];
  /** Which of `links` stand turned around, because they would close a circle. */
  readonly turned: ReadonlySet<number>;
}

/** A list of lists of numbers, one for each node. */
export function lists(count: number): number[][] {
  return Array.from({ length: count }, () => []);
}

/**
 * Put `count` nodes into layers by the longest way to each. Edges to oneself and second edges between the same two
 * nodes are left out; of a circle one edge is turned around.
 */
export function rankNodes(count: number, links: readonly Link[]): Ranked {
  const simple = withoutDoubles(count, links);
  const turned = closing(count, simple);
  const forward = simple.map(([from, to], index): Link =>
    turned.has(index) ? [to, from] : [from, to]
  );
  const after = lists(count);
  const missing = new Array<number>(count).fill(0);
  for (const [from, to] of forward) {
    after[from].push(to);
    missing[to]++;
  }
  const rank = new Array<number>(count).fill(0);
  const ready = missing.flatMap((n, node) => (n === 0 ? [node] : []));
  const sources = [...ready];
  for (let next = 0; next < ready.length; next++) {
    const node = ready[next];
    for (const to of after[node]) {
      rank[to] = Math.max(rank[to], rank[node] + 1);
      if (--missing[to] === 0) {
        ready.push(to);
      }
    }
  }
  // What needs nothing stands right before what needs it first, not far away at the very beginning.
  for (const node of sources) {
    if (after[node].length > 0) {
      rank[node] = Math.min(...after[node].map(to => rank[to])) - 1;
    }
  }
  return { rank, links: forward, turned };
}

function withoutDoubles(count: number, links: readonly Link[]): Link[] {
  const seen = new Set<number>();
  return links.filter(([from, to]) => {
    const id = from * count + to;
    if (from === to || seen.has(id)) {
      return false;
    }
    seen.add(id);
    return true;
  });
}

/** The edges that lead back to where a walk in depth comes from; without recursion, chains may be long. */
function closing(count: number, links: readonly Link[]): Set<number> {
  const out = lists(count);
  links.forEach(([from], index) => out[from].push(index));
  const NEW = 0;
  const OPEN = 1;
  const DONE = 2;
  const mark = new Array<number>(count).fill(NEW);
  const next = new Array<number>(count).fill(0);
  const found = new Set<number>();
  for (let start = 0; start < count; start++) {
    const way = mark[start] === NEW ? [start] : [];
    mark[start] = way.length > 0 ? OPEN : mark[start];
    while (way.length > 0) {
      const node = way[way.length - 1];
      if (next[node] === out[node].length) {
        mark[node] = DONE;
        way.pop();
        continue;
      }
      const index = out[node][next[node]++];
      const to = links[index][1];
      if (mark[to] === OPEN) {
        found.add(index);
      } else if (mark[to] === NEW) {
        mark[to] = OPEN;
        way.push(to);
      }
    }
  }
  return found;
}
