import type { Way } from './layout';
import type { Mark } from './node';
import type { Item, Scene } from './scene';

/** How nodes and edges stand to the selected one: on a way to it, on a way from it, or neither. */
export interface Marks {
  of(item: Item): Mark;
  ofWay(way: Way): Mark;
}

const NO_MARKS: Marks = { of: () => null, ofWay: () => null };

/** The keys of the neighbours of each item, along the edges and against them. */
export interface Neighbours {
  readonly before: ReadonlyMap<string, readonly string[]>;
  readonly after: ReadonlyMap<string, readonly string[]>;
}

/** Who is joined to whom. */
export function neighboursOf(ways: readonly Way[]): Neighbours {
  const before = new Map<string, string[]>();
  const after = new Map<string, string[]>();
  const add = (to: Map<string, string[]>, key: string, other: string): void => {
    const known = to.get(key);
    if (known === undefined) {
      to.set(key, [other]);
    } else {
      known.push(other);
    }
  };
  for (const { from, to } of ways) {
    add(after, from, to);
    add(before, to, from);
  }
  return { before, after };
}

/** Everything before and after the selected item, all the way; the boxes around it count as it does itself. */
export function marksFor(selected: Item | null, scene: Scene, neighbours: Neighbours): Marks {
  if (selected === null) {
    return NO_MARKS;
  }
  const selves = new Set<string>();
  for (let item: Item | null = selected; item !== null && item !== scene.root; item = item.parent) {
    selves.add(item.key);
  }
  const before = reach(selves, neighbours.before);
  const after = reach(selves, neighbours.after);
  const inside = (item: Item, isThat: (key: string) => boolean): boolean => {
    for (let at: Item | null = item; at !== null; at = at.parent) {
      if (isThat(at.key)) {
        return true;
      }
    }
    return false;
  };
  return {
    of(item) {
      if (item === selected) {
        return 'self';
      }
      if (selves.has(item.key) || inside(item, key => key === selected.key)) {
        return null;
      }
      if (inside(item, key => before.has(key))) {
        return 'before';
      }
      return inside(item, key => after.has(key)) ? 'after' : 'other';
    },
    ofWay({ from, to }) {
      if (before.has(from) && (before.has(to) || selves.has(to))) {
        return 'before';
      }
      return after.has(to) && (after.has(from) || selves.has(from)) ? 'after' : 'other';
    }
  };
}

function reach(
  start: ReadonlySet<string>,
  next: ReadonlyMap<string, readonly string[]>
): Set<string> {
  const found = new Set<string>();
  const queue = [...start];
  for (let at = 0; at < queue.length; at++) {
    for (const key of next.get(queue[at]) ?? []) {
      if (!found.has(key) && !start.has(key)) {
        found.add(key);
        queue.push(key);
      }
    }
  }
  return found;
}
