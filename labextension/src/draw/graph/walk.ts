import type { Rect } from './layout';
import type { Item } from './scene';

/** Where an arrow key leads. */
export const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1]
};

/** The item an arrow key leads to: the nearest one in that direction, else the box around, else none. */
export function walk(
  from: Item,
  [x, y]: readonly [number, number],
  items: Iterable<Item>,
  rects: ReadonlyMap<string, Rect>
): Item | null {
  const start = middle(rects.get(from.key)!);
  let best: Item | null = null;
  let least = Infinity;
  for (const item of items) {
    if (item === from || isAround(item, from)) {
      continue;
    }
    const end = middle(rects.get(item.key)!);
    const ahead = (end.x - start.x) * x + (end.y - start.y) * y;
    const aside = Math.abs((end.x - start.x) * y) + Math.abs((end.y - start.y) * x);
    // Within the quarter of the plane that the arrow points to.
    if (ahead > 1 && aside <= 3 * ahead && ahead + 2 * aside < least) {
      least = ahead + 2 * aside;
      best = item;
    }
  }
  const around = from.parent;
  return best ?? (around !== null && rects.has(around.key) ? around : null);
}

function middle(rect: Rect): { x: number; y: number } {
  return { x: rect.x + rect.width / 2, y: rect.y + rect.height / 2 };
}

function isAround(box: Item, item: Item): boolean {
  for (let at = item.parent; at !== null; at = at.parent) {
    if (at === box) {
      return true;
    }
  }
  return false;
}
