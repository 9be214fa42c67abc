import { type Drawing, make, setAttribute } from './drawing';

/** Where a row's bar lies on the time axis of its run: both from 0 to 1. */
export interface BarSpan {
  offset: number;
  width: number;
  state: string;
}

/** Where `[start, end]` lies within `[from, to]` (all in ms): an offset and a width from 0 to 1. */
export function barSpan(
  start: number | null,
  end: number,
  axis: { from: number; to: number }
): { offset: number; width: number } {
  const length = axis.to - axis.from;
  if (start === null || length <= 0) {
    return { offset: 0, width: 0 };
  }
  const clamp = (value: number): number => Math.min(1, Math.max(0, value));
  const offset = clamp((start - axis.from) / length);
  return { offset, width: Math.max(0, clamp((end - axis.from) / length) - offset) };
}

/** One bar of a small timeline. */
export function drawBar(): Drawing<BarSpan> {
  const element = make('div', 'wf-Bar');
  const fill = make('span', 'wf-Bar-fill');
  element.setAttribute('aria-hidden', 'true');
  element.append(fill);
  return {
    element,
    update({ offset, width, state }) {
      setAttribute(fill, 'data-state', state);
      fill.style.left = `${(100 * offset).toFixed(2)}%`;
      fill.style.width = `${(100 * width).toFixed(2)}%`;
      fill.hidden = width === 0 && offset === 0;
    }
  };
}
