import { type Drawing, make, setAttribute, setText } from '../drawing';
import { formatMoment } from '../time';
import { type Range, ticks } from './scale';

/** The axis: what is shown, when the run began, the width in px, and now where it is still alive. */
export interface AxisView {
  range: Range;
  start: number;
  width: number;
  now: number | null;
}

/** Marks with the time since the start, and lines from them through the drawing; with them the line of now. */
export function drawAxis(): Drawing<AxisView> & { readonly lines: HTMLElement } {
  const element = make('div', 'wf-Axis');
  const lines = make('div', 'wf-Axis-lines');
  const nowLine = make('span', 'wf-Axis-now');
  const marks: { label: HTMLElement; line: HTMLElement }[] = [];
  lines.setAttribute('aria-hidden', 'true');
  element.setAttribute('aria-hidden', 'true');
  lines.append(nowLine);
  return {
    element,
    lines,
    update({ range, start, width, now }) {
      const wanted = ticks(range, start, width);
      const place = (at: number): string =>
        `${((100 * (at - range.from)) / (range.to - range.from)).toFixed(3)}%`;
      while (marks.length < wanted.length) {
        const mark = { label: make('span', 'wf-Axis-label'), line: make('span', 'wf-Axis-line') };
        marks.push(mark);
        element.append(mark.label);
        lines.append(mark.line);
      }
      marks.forEach(({ label, line }, index) => {
        const tick = wanted.at(index);
        label.hidden = line.hidden = tick === undefined;
        if (tick !== undefined) {
          setText(label, tick.label);
          setAttribute(label, 'title', formatMoment(new Date(tick.at).toISOString()));
          label.style.left = line.style.left = place(tick.at);
          // The last label would hang over the end.
          const share = (tick.at - range.from) / (range.to - range.from);
          setAttribute(label, 'data-end', String(width > 0 && (1 - share) * width < 48));
        }
      });
      nowLine.hidden = now === null || now < range.from || now > range.to;
      if (now !== null) {
        nowLine.style.left = place(now);
      }
    }
  };
}
