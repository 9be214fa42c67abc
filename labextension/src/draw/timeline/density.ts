import type { TreeRow } from '../tree';
import type { Range } from './scale';

/** So many columns show how many runs went on at a time. */
export const COLUMNS = 160;

/** How many runs went on in each of `COLUMNS` equal parts of a range, and of how many those have failed. */
export interface Density {
  readonly all: readonly number[];
  readonly failed: readonly number[];
  readonly most: number;
}

/** Count, for each part of a range, the runs that went on in it; `now` is the end of what has none. */
export function density(rows: readonly TreeRow[], range: Range, now: number): Density {
  const all = new Array<number>(COLUMNS + 1).fill(0);
  const failed = new Array<number>(COLUMNS + 1).fill(0);
  const scale = COLUMNS / (range.to - range.from);
  for (const row of rows) {
    const { type } = row.state;
    for (const span of row.spans) {
      const to = span.to ?? now;
      if (span.kind !== 'run' || to < range.from || span.from > range.to) {
        continue;
      }
      const first = Math.max(0, Math.floor((span.from - range.from) * scale));
      const last = Math.min(COLUMNS, Math.max(first + 1, Math.ceil((to - range.from) * scale)));
      if (first < COLUMNS) {
        all[first]++;
        all[last]--;
        if (span.attempt < row.attempt || type === 'FAILED' || type === 'CRASHED') {
          failed[first]++;
          failed[last]--;
        }
      }
    }
  }
  for (let column = 1; column < COLUMNS; column++) {
    all[column] += all[column - 1];
    failed[column] += failed[column - 1];
  }
  all.pop();
  failed.pop();
  return { all, failed, most: Math.max(1, ...all) };
}

/** Heights as an area over a base line at 1, in a box of `COLUMNS` by 1; something is never drawn as nothing. */
export function areaPath(heights: readonly number[], most: number): string {
  const parts: string[] = [];
  let last = 0;
  heights.forEach((height, column) => {
    const share = height === 0 ? 0 : Math.max(0.12, height / most);
    if (share !== last) {
      const y = (1 - share).toFixed(3);
      parts.push(
        last === 0 ? `M${column} 1V${y}` : share === 0 ? `H${column}V1Z` : `H${column}V${y}`
      );
      last = share;
    }
  });
  if (last !== 0) {
    parts.push(`H${heights.length}V1Z`);
  }
  return parts.join('');
}
