import type { StateJSON } from '../api/schema';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { isClosed, stateLabel, stateMark } from './states';
import { plain } from './text';

const SVG = 'http://www.w3.org/2000/svg';
const DISC = 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z';

/** One shape for each mark of a state (16 × 16, even-odd fill), so that colour is never the only difference. */
const SHAPES: Record<string, string> = {
  COMPLETED: `${DISC}M7.1 11.4 3.9 8.2l1.1-1.1 2.1 2.1 4-4 1.1 1.1z`,
  FAILED: `${DISC}M5.2 4.1 8 6.9l2.8-2.8 1.1 1.1L9.1 8l2.8 2.8-1.1 1.1L8 9.1l-2.8 2.8-1.1-1.1L6.9 8 4.1 5.2z`,
  CRASHED: 'M8 .8 15.6 14.5H.4zM7.2 5.5v4.6h1.6V5.5zM7.2 11.3v1.7h1.6v-1.7z',
  CANCELLED: `${DISC}M4 7.2h8v1.6H4z`,
  CANCELLING: `${DISC}M8 2.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 8 2.6zM4.5 7.2h7v1.6h-7z`,
  RUNNING:
    'M8 1a7 7 0 1 0 7 7h-1.8A5.2 5.2 0 1 1 8 2.8zM8 5.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z',
  PAUSED: `${DISC}M5.2 4.5h2v7h-2zM8.8 4.5h2v7h-2z`,
  PENDING: `${DISC}M8 2.7a5.3 5.3 0 1 0 0 10.6A5.3 5.3 0 0 0 8 2.7z`,
  SCHEDULED: `${DISC}M8 2.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 8 2.6zM7.2 4.2h1.6v3.5l2.3 1.5-.8 1.3-3.1-2z`,
  LATE: `${DISC}M7.2 3.6h1.6v4.1l2.6 1.7-.8 1.3-3.4-2.2z`,
  MISSED: `${DISC}M7.2 4v5h1.6V4zM7.2 10.4V12h1.6v-1.6z`,
  SKIPPED: `${DISC}M4.3 5 7.3 8l-3 3 1.1 1.1L9.5 8 5.4 3.9zM10 4.2v7.6h1.6V4.2z`
};

/** The shape of a state's mark as an SVG element; the text beside it carries the meaning for screen readers. */
export function drawStateIcon(): { element: SVGSVGElement; update(mark: string): void } {
  const element = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  element.setAttribute('class', 'wf-StateIcon');
  element.setAttribute('viewBox', '0 0 16 16');
  element.setAttribute('aria-hidden', 'true');
  path.setAttribute('fill-rule', 'evenodd');
  path.setAttribute('fill', 'currentColor');
  element.append(path);
  return {
    element,
    update(mark) {
      setAttribute(path, 'd', SHAPES[mark] ?? SHAPES.PENDING);
      setAttribute(element, 'data-state', mark);
    }
  };
}

/** A state as shape and word; its message is the tooltip. */
export function drawBadge(): Drawing<StateJSON> {
  const element = make('span', 'wf-Badge');
  const icon = drawStateIcon();
  const text = make('span', 'wf-Badge-text');
  element.append(icon.element, text);
  return {
    element,
    update(state) {
      setAttribute(element, 'data-state', state.type);
      setAttribute(element, 'data-open', String(!isClosed(state)));
      setAttribute(element, 'title', state.message ? plain(state.message) : null);
      setAttribute(element, 'data-mark', stateMark(state));
      icon.update(stateMark(state));
      setText(text, plain(stateLabel(state)));
    }
  };
}
