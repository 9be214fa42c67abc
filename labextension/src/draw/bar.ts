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
