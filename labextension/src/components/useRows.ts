import * as React from 'react';

/** Longer lists are shown through a window: only the rows in sight (and some around them) are in the DOM. */
export const WINDOW_FROM = 200;
const AROUND = 30;
const SMALLEST = 60;

/** Which rows to render, and the heights (px) of what stands for the others. */
export interface RowWindow {
  first: number;
  last: number;
  before: number;
  after: number;
}

/** The window on `count` rows of `rowHeight` px in a box of `height` px scrolled by `top` px. */
export function rowWindow(
  count: number,
  rowHeight: number,
  top: number,
  height: number
): RowWindow {
  if (count <= WINDOW_FROM) {
    return { first: 0, last: count, before: 0, after: 0 };
  }
  const inSight = Math.max(SMALLEST, Math.ceil(height / rowHeight));
  const first = Math.min(
    Math.max(0, Math.floor(top / rowHeight) - AROUND),
    Math.max(0, count - inSight)
  );
  const last = Math.min(count, first + inSight + 2 * AROUND);
  return { first, last, before: first * rowHeight, after: (count - last) * rowHeight };
}

/** A scrolled list of rows with one height, walked by the keyboard: one row at a time can be reached with Tab. */
export interface Rows {
  box: React.RefObject<HTMLDivElement>;
  window: RowWindow;
  active: number;
  onScroll: () => void;
  /** Move the keyboard's place to a row and focus it. */
  go: (index: number) => void;
  /** Arrow keys, Home, End, Page Up and Down; returns whether the key was one of them. */
  onWalk: (event: React.KeyboardEvent) => boolean;
  setActive: (index: number) => void;
}

const STEPS: Record<string, (active: number, count: number, page: number) => number> = {
  ArrowDown: active => active + 1,
  ArrowUp: active => active - 1,
  PageDown: (active, _, page) => active + page,
  PageUp: (active, _, page) => active - page,
  Home: () => 0,
  End: (_, count) => count - 1
};

/** See `Rows`. `ids` name the rows: the keyboard's place stays with its row when others come and go. */
export function useRows(ids: readonly string[], rowHeight: number): Rows {
  const box = React.useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = React.useState({ top: 0, height: 0 });
  const [activeId, setActiveId] = React.useState<string | null>(null);
  const wanted = React.useRef<string | null>(null);
  const active = Math.max(0, activeId === null ? 0 : ids.indexOf(activeId));

  const onScroll = React.useCallback(() => {
    const node = box.current;
    if (node) {
      setScroll({ top: node.scrollTop, height: node.clientHeight });
    }
  }, []);
  React.useLayoutEffect(onScroll, [onScroll]);
  React.useLayoutEffect(() => {
    if (wanted.current !== null) {
      const row = [...(box.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])].find(
        node => node.dataset.row === wanted.current
      );
      if (row) {
        wanted.current = null;
        row.focus();
      }
    }
  });

  const go = (index: number): void => {
    const node = box.current;
    const target = Math.min(Math.max(0, index), ids.length - 1);
    if (node === null || target < 0) {
      return;
    }
    wanted.current = ids[target];
    setActiveId(ids[target]);
    if (ids.length > WINDOW_FROM) {
      const top = target * rowHeight;
      if (top < node.scrollTop || top + rowHeight > node.scrollTop + node.clientHeight) {
        node.scrollTop = Math.max(0, top - node.clientHeight / 2);
        onScroll();
      }
    }
  };
  const onWalk = (event: React.KeyboardEvent): boolean => {
    const step = STEPS[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) {
      return false;
    }
    event.preventDefault();
    const page = Math.max(1, Math.floor(scroll.height / rowHeight) - 1);
    go(step(active, ids.length, page));
    return true;
  };
  return {
    box,
    window: rowWindow(ids.length, rowHeight, scroll.top, scroll.height),
    active,
    onScroll,
    go,
    onWalk,
    setActive: index => setActiveId(ids[index] ?? null)
  };
}
