const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const pad = (value: number): string => String(value).padStart(2, '0');

/**
 * A duration in words. `ms` is in milliseconds; `live` is for a clock that ticks: whole seconds only.
 *
 * 0.24 → `0.2 s`, 72 → `1 min 12 s`, 3,700 → `1 h 01 min`, 180,000 → `2 d 2 h` (seconds on the left).
 */
export function formatDuration(ms: number, live = false): string {
  const span = Math.max(0, ms);
  if (live && span < MINUTE) {
    return `${Math.floor(span / SECOND)} s`;
  }
  if (span < 9.95 * SECOND) {
    return span > 0 && span < 95
      ? `${Math.max(1, Math.round(span))} ms`
      : `${(span / SECOND).toFixed(1)} s`;
  }
  const seconds = live ? Math.floor(span / SECOND) : Math.round(span / SECOND);
  if (seconds < 60) {
    return `${seconds} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) {
    return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  }
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Milliseconds between two ISO times; `now` (ms since the epoch) stands in for an end that is not there yet. */
export function spanBetween(start: string | null, end: string | null, now: number): number | null {
  if (start === null) {
    return null;
  }
  const from = Date.parse(start);
  const to = end === null ? now : Date.parse(end);
  return Number.isFinite(from) && Number.isFinite(to) ? Math.max(0, to - from) : null;
}

/** `just now`, `25 s ago`, `2 min ago`, `3 h ago`, `4 d ago`, then the date. `now` is in ms since the epoch. */
export function formatRelative(at: string, now: number): string {
  const then = Date.parse(at);
  if (!Number.isFinite(then)) {
    return '';
  }
  const span = now - then;
  if (span < 5 * SECOND) {
    return span < -5 * SECOND ? `in ${formatDuration(-span, true)}` : 'just now';
  }
  if (span < MINUTE) {
    return `${Math.floor(span / SECOND)} s ago`;
  }
  if (span < HOUR) {
    return `${Math.floor(span / MINUTE)} min ago`;
  }
  if (span < DAY) {
    return `${Math.floor(span / HOUR)} h ago`;
  }
  if (span < 7 * DAY) {
    return `${Math.floor(span / DAY)} d ago`;
  }
  const date = new Date(then);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** `14:03:07` in the reader's zone. */
export function formatClock(at: string): string {
  const date = new Date(at);
  return Number.isFinite(date.getTime())
    ? `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
    : '';
}

/** `2026-01-31 14:03:07` in the reader's zone, for tooltips and headers. */
export function formatMoment(at: string): string {
  const date = new Date(at);
  return Number.isFinite(date.getTime())
    ? `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${formatClock(at)}`
    : '';
}
