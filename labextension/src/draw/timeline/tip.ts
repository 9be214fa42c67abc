import { describeEntry } from '../describe';
import { make, setText } from '../drawing';
import { entryTimes, entryTitle } from '../groups';
import { stateLabel } from '../states';
import { plain } from '../text';
import { formatDuration, formatMoment } from '../time';
import type { Span } from '../tree';
import { laneTimes, spanState } from './lane';
import type { Lane } from './lanes';

const KINDS: Record<Span['kind'], string> = { wait: 'Waiting', run: 'Running', pause: 'Paused' };

/** What is told of a line, or of one stretch of it: name and state, times since the start, and by the clock. */
export function tipText(lane: Lane, stretch: number | null, start: number, now: number): string {
  const { entry } = lane;
  const span = stretch === null ? undefined : entry.row?.spans.at(stretch);
  const after = (at: number): string => `+${formatDuration(at - start)}`;
  const clock = (from: number, to: number | null): string => {
    const end = to === null ? 'now' : formatMoment(new Date(to).toISOString());
    return `${formatMoment(new Date(from).toISOString())} – ${end}`;
  };
  if (span !== undefined && entry.row !== null) {
    const { row } = entry;
    const times = row.attempt > 1 || row.maxAttempts > 1 ? `, attempt ${span.attempt}` : '';
    const failed = span.kind === 'run' && spanState(span, row) === 'FAILED' ? ', failed' : '';
    const end = span.to === null ? 'now' : after(span.to);
    return [
      `${entryTitle(entry)}: ${stateLabel(row.state).toLowerCase()}`,
      `${KINDS[span.kind]}${times}${failed}: ${after(span.from)} – ${end}, ` +
        formatDuration((span.to ?? now) - span.from),
      clock(span.from, span.to)
    ].join('\n');
  }
  const { startedAt, endedAt } = entryTimes(entry);
  const lines = [describeEntry(entry, now), laneTimes(lane, start, now)];
  if (startedAt !== null) {
    lines.push(clock(startedAt, endedAt));
  }
  if (entry.row?.state.message) {
    lines.push(plain(entry.row.state.message));
  }
  return lines.join('\n');
}

/** A small text box over a drawing; `x` and `y` are px within it. */
export class Tip {
  readonly element = make('div', 'wf-Tip');

  constructor() {
    this.element.setAttribute('role', 'tooltip');
    this.element.hidden = true;
  }

  show(text: string, x: number, y: number, room: number): void {
    const { element } = this;
    setText(element, text);
    element.hidden = false;
    element.style.left = `${Math.max(0, Math.min(x, room - element.offsetWidth - 4))}px`;
    element.style.top = `${y}px`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
