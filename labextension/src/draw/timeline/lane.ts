import { drawStateIcon } from '../badge';
import { barSpan } from '../bar';
import { describeEntry, entryDuration, isOpen } from '../describe';
import { type Drawing, make, setAttribute, setText } from '../drawing';
import { entryState, entryTimes, entryTitle } from '../groups';
import { plain } from '../text';
import { formatDuration } from '../time';
import type { Span, TreeRow } from '../tree';
import { areaPath, COLUMNS, density } from './density';
import type { Lane } from './lanes';
import type { Range } from './scale';

const SVG = 'http://www.w3.org/2000/svg';
/** The height of a line (px); the style sheet sets the same. */
export const LANE = 24;

/** A line, the part of time that is shown, and when the run began; times in ms since the epoch. */
export interface LaneView {
  lane: Lane;
  range: Range;
  start: number;
  now: number;
  selected: boolean;
}

/** A line of the timeline: the label, then a bar for each stretch of each attempt, or how many runs went on. */
export function drawLane(): Drawing<LaneView> {
  const element = make('div', 'wf-Lane');
  const label = make('div', 'wf-Lane-label');
  const twisty = make('span', 'wf-Twisty wf-Lane-twisty');
  const icon = drawStateIcon();
  const name = make('span', 'wf-Lane-name');
  const note = make('span', 'wf-Lane-note');
  const track = make('div', 'wf-Lane-track');
  const area = drawArea();
  element.setAttribute('role', 'row');
  label.setAttribute('role', 'gridcell');
  track.setAttribute('role', 'gridcell');
  twisty.setAttribute('aria-hidden', 'true');
  label.append(twisty, icon.element, name, note);
  track.append(area.element);
  element.append(label, track);
  const bars: HTMLElement[] = [];
  let seen: LaneView | null = null;

  const update = (view: LaneView): void => {
    const { lane, range, start, now, selected } = view;
    const { entry } = lane;
    setAttribute(element, 'aria-selected', String(selected));
    if (seen !== null && !differs(seen, view)) {
      return;
    }
    seen = view;
    const { type } = entryState(entry);
    setAttribute(element, 'data-state', type);
    setAttribute(element, 'data-key', entry.key);
    setAttribute(element, 'data-kind', entry.row === null ? 'group' : 'run');
    setAttribute(element, 'aria-level', String(lane.level));
    setAttribute(element, 'aria-expanded', lane.openable ? String(lane.open) : null);
    label.style.setProperty('--wf-level', String(Math.min(lane.level, 6) - 1));
    twisty.style.visibility = lane.openable ? '' : 'hidden';
    setText(twisty, lane.open ? '▾' : '▸');
    icon.update(type);
    setText(name, plain(entryTitle(entry)));
    setText(note, noteText(lane));
    setAttribute(label, 'aria-label', describeEntry(entry, now));
    setAttribute(track, 'aria-label', laneTimes(lane, start, now));
    const row = entry.row;
    area.update(row === null ? { rows: entry.rows, state: type, range, now } : null);
    paintBars(
      bars,
      track,
      row === null
        ? groupWait(entry.rows, range)
        : row.spans.map(span => bar(span, row, range, now))
    );
  };
  return { element, update };
}

function differs(a: LaneView, b: LaneView): boolean {
  const { lane, range, start } = b;
  return (
    a.lane.entry !== lane.entry ||
    a.lane.open !== lane.open ||
    a.lane.level !== lane.level ||
    a.lane.openable !== lane.openable ||
    a.range.from !== range.from ||
    a.range.to !== range.to ||
    a.start !== start ||
    (a.now !== b.now && isOpen(lane.entry))
  );
}

interface Bar {
  offset: number;
  width: number;
  kind: string;
  state: string;
  attempt: number;
  live: boolean;
}

function bar(span: Span, row: TreeRow, range: Range, now: number): Bar {
  const place = barSpan(span.from, span.to ?? now, range);
  const out = (span.to ?? now) < range.from || span.from > range.to;
  return {
    offset: place.offset,
    width: out ? -1 : place.width,
    kind: span.kind,
    state: spanState(span, row),
    attempt: span.attempt,
    live: span.to === null
  };
}

/** `7/20, 1 failed` for a group. */
function noteText({ entry }: Lane): string {
  if (entry.row !== null || entry.summary === null) {
    return '';
  }
  const { done, total, failed } = entry.summary;
  return failed > 0 ? `${done}/${total}, ${failed} failed` : `${done}/${total}`;
}

/** Before the first of a group began, all of them waited. */
function groupWait(rows: readonly TreeRow[], range: Range): Bar[] {
  let from = Infinity;
  let to = Infinity;
  for (const { spans } of rows) {
    for (const span of spans) {
      from = span.kind === 'wait' ? Math.min(from, span.from) : from;
      to = span.kind === 'run' ? Math.min(to, span.from) : to;
    }
  }
  if (!(from < to) || to < range.from) {
    return [];
  }
  const place = barSpan(from, Math.min(to, range.to), range);
  return [{ ...place, kind: 'wait', state: 'PENDING', attempt: 1, live: false }];
}

/** What became of a stretch: an attempt that was followed by another has failed. */
export function spanState(span: Span, row: TreeRow): string {
  if (span.kind !== 'run') {
    return span.kind === 'pause' ? 'PAUSED' : 'PENDING';
  }
  const again = row.state.type === 'SCHEDULED' && row.state.name === 'AwaitingRetry';
  if (span.attempt < row.attempt || (again && span.to !== null)) {
    return 'FAILED';
  }
  return span.to === null && row.state.type === 'PENDING' ? 'RUNNING' : row.state.type;
}

function paintBars(bars: HTMLElement[], track: HTMLElement, wanted: readonly Bar[]): void {
  while (bars.length < wanted.length) {
    const element = make('span', 'wf-Stretch');
    bars.push(element);
    track.append(element);
  }
  bars.forEach((element, index) => {
    const value = wanted[index];
    element.hidden = value === undefined || value.width < 0;
    if (!element.hidden) {
      setAttribute(element, 'data-kind', value.kind);
      setAttribute(element, 'data-state', value.state);
      setAttribute(element, 'data-live', String(value.live));
      setAttribute(element, 'data-index', String(index));
      element.style.left = `${(100 * value.offset).toFixed(3)}%`;
      element.style.width = `${(100 * value.width).toFixed(3)}%`;
    }
  });
}

interface AreaView {
  rows: readonly TreeRow[];
  state: string;
  range: Range;
  now: number;
}

/** How many runs of a group went on at each time, and of those the ones that failed. */
function drawArea(): { element: SVGSVGElement; update(view: AreaView | null): void } {
  const element = document.createElementNS(SVG, 'svg');
  const all = document.createElementNS(SVG, 'path');
  const failed = document.createElementNS(SVG, 'path');
  element.setAttribute('class', 'wf-Lane-area');
  element.setAttribute('viewBox', `0 0 ${COLUMNS} 1`);
  element.setAttribute('preserveAspectRatio', 'none');
  element.setAttribute('aria-hidden', 'true');
  all.setAttribute('class', 'wf-Lane-all');
  failed.setAttribute('class', 'wf-Lane-failed');
  failed.setAttribute('data-state', 'FAILED');
  element.append(all, failed);
  return {
    element,
    update(view) {
      setAttribute(element, 'display', view === null ? 'none' : null);
      if (view !== null) {
        const { rows, state, range, now } = view;
        const counted = density(rows, range, now);
        // The failed ones are drawn by themselves: the rest is what has gone well, or goes on.
        const bad = state === 'FAILED' || state === 'CRASHED';
        const open = rows.some(row => row.state.type === 'RUNNING');
        setAttribute(all, 'data-state', bad ? (open ? 'RUNNING' : 'COMPLETED') : state);
        setAttribute(all, 'd', areaPath(counted.all, counted.most));
        setAttribute(failed, 'd', areaPath(counted.failed, counted.most));
      }
    }
  };
}

/** `started after 1.2 s, took 3.4 s, waited 0.5 s`: a line's times in words. */
export function laneTimes(lane: Lane, start: number, now: number): string {
  const { entry } = lane;
  const { startedAt } = entryTimes(entry);
  const parts: string[] = [];
  if (startedAt === null) {
    parts.push('not started');
  } else {
    parts.push(`started after ${formatDuration(startedAt - start)}`);
    const duration = entryDuration(entry, now);
    parts.push(duration === '' ? '' : `${isOpen(entry) ? 'so far' : 'took'} ${duration}`);
  }
  if (entry.row !== null) {
    for (const [kind, word] of [
      ['wait', 'waited'],
      ['pause', 'paused for']
    ]) {
      const length = entry.row.spans
        .filter(span => span.kind === kind)
        .reduce((sum, span) => sum + (span.to ?? now) - span.from, 0);
      parts.push(length >= 1 ? `${word} ${formatDuration(length)}` : '');
    }
  }
  return parts.filter(Boolean).join(', ');
}
