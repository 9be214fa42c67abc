import type { Tree } from '../tree';

/** A stretch of time, in ms since the epoch. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A mark on the axis. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** No closer look than this, in ms. */
const LEAST = 5;
/** The room (px) that a label needs. */
const TICK_WIDTH = 72;

/** The distances between marks that people can count in, in ms, each with its next. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map(n => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map(n => n * MINUTE),
  ...[1, 2, 3, 6, 12].map(n => n * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].map(n => n * DAY)
];

/** Marks at round distances from `start` within a stretch that is `width` px wide, labelled with that distance. */
export function ticks(range: Range, start: number, width: number): Tick[] {
  const length = range.to - range.from;
  if (!(length > 0) || !(width > 0)) {
    return [];
  }
  const least = (length * TICK_WIDTH) / width;
  const most = STEPS[STEPS.length - 1];
  const step = STEPS.find(each => each >= least) ?? most * Math.ceil(least / most);
  const minutes = range.to - start >= MINUTE && step >= SECOND;
  const found: Tick[] = [];
  const first = Math.ceil((range.from - start) / step - 1e-9);
  for (let index = first; start + index * step <= range.to && found.length < 100; index++) {
    found.push({ at: start + index * step, label: tickLabel(index * step, step, minutes) });
  }
  return found;
}

/**
 * `0`, `250 ms`, `1.5 s`, `1:30` (minutes), `2:05:00` (hours), `3 d 6 h`; as exact as the step (ms) needs. `clock`
 * writes less than a minute as `0:30` too, beside others that have more.
 */
export function tickLabel(ms: number, step: number, clock = false): string {
  const sign = ms < 0 ? '−' : '';
  const span = Math.abs(ms);
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (span === 0) {
    return '0';
  }
  if (span < SECOND) {
    return `${sign}${Math.round(span)} ms`;
  }
  if ((span < MINUTE && !clock) || step < SECOND) {
    const digits = step >= SECOND ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    return `${sign}${(span / SECOND).toFixed(digits)} s`;
  }
  if (span >= DAY && step >= HOUR) {
    const hours = Math.floor((span % DAY) / HOUR);
    return `${sign}${Math.floor(span / DAY)} d${hours > 0 ? ` ${hours} h` : ''}`;
  }
  const seconds = Math.round(span / SECOND);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0
    ? `${sign}${hours}:${pad(minutes)}:${pad(seconds % 60)}`
    : `${sign}${minutes}:${pad(seconds % 60)}`;
}

/** The life of a run, from its first sign to its end or to now. */
export function lifeOf({ root }: Tree, now: number): Range {
  const first = root.spans.length > 0 ? root.spans[0] : null;
  const last = root.spans.length > 0 ? root.spans[root.spans.length - 1] : null;
  const from = Math.min(first?.from ?? root.createdAt, root.createdAt);
  const to = last === null ? now : (last.to ?? now);
  return { from, to: Math.max(to, from + LEAST) };
}

/** The last attempt, where the attempts before and the time in between would leave no room for it; else all. */
export function homeOf({ root }: Tree, life: Range): Range {
  const began = root.spans.find(span => span.attempt === root.attempt && span.kind === 'run');
  return began !== undefined &&
    root.attempt > 1 &&
    life.to - began.from < 0.2 * (life.to - life.from)
    ? { from: began.from, to: life.to }
    : life;
}

/** Which part of a run's life is shown. While the end of it is in sight, it stays there as time passes. */
export class TimeWindow {
  private life: Range = { from: 0, to: 1 };
  private home: Range = { from: 0, to: 1 };
  private chosen: Range | null = null;

  get range(): Range {
    return this.chosen ?? this.home;
  }

  /** Whether there is more than what is shown. */
  get zoomed(): boolean {
    return this.range.from > this.life.from || this.range.to < this.life.to;
  }

  /** The run's life now, and what of it is shown until somebody chooses. */
  setLife(life: Range, home: Range): void {
    const { chosen } = this;
    if (chosen !== null) {
      const atEnd = chosen.to >= this.life.to;
      const shift = atEnd ? life.to - this.life.to : 0;
      this.chosen = { from: chosen.from + shift, to: chosen.to + shift };
    }
    this.life = life;
    this.home = home;
    if (this.chosen !== null) {
      this.choose(this.chosen);
    }
  }

  /** Make what is shown shorter by a factor, about a place from 0 (left) to 1. */
  zoom(factor: number, place = 0.5): void {
    const { from, to } = this.range;
    const length = Math.max(LEAST, (to - from) / factor);
    const at = from + place * (to - from);
    this.choose({ from: at - place * length, to: at + (1 - place) * length });
  }

  /** Move by a share of what is shown; to later with a positive one. */
  pan(share: number): void {
    const { from, to } = this.range;
    const by = share * (to - from);
    this.choose({ from: from + by, to: to + by });
  }

  /** Show all of it. */
  fit(): void {
    this.chosen = null;
    this.home = this.life;
  }

  /** Whether somebody has asked for all of it or for a part. */
  get isChosen(): boolean {
    return this.chosen !== null;
  }

  private choose({ from, to }: Range): void {
    const { life } = this;
    const length = Math.min(to - from, life.to - life.from);
    const start = Math.min(Math.max(from, life.from), life.to - length);
    const whole = length >= life.to - life.from;
    this.chosen = whole ? null : { from: start, to: start + length };
    if (whole) {
      this.home = life;
    }
  }
}
