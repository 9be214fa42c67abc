import { attemptsText } from '../src/draw/attempts';
import { drawBadge } from '../src/draw/badge';
import { barSpan } from '../src/draw/bar';
import { drawError } from '../src/draw/error';
import { countsText, drawProgress, progressText } from '../src/draw/progress';
import { isCancellable, isClosed, isUsual, STATE_TYPES, stateLabel } from '../src/draw/states';
import { errorLine, firstLine, lastLine, plain, valueText } from '../src/draw/text';
import {
  formatClock,
  formatDuration,
  formatMoment,
  formatRelative,
  spanBetween
} from '../src/draw/time';
import { at, MARKUP } from './fixtures';

const state = (type: string, name?: string, message: string | null = null) => ({
  type,
  name: name ?? type[0] + type.slice(1).toLowerCase(),
  message,
  at: at(0)
});

describe('time', () => {
  it.each([
    [0, '0.0 s'],
    [4, '4 ms'],
    [94, '94 ms'],
    [240, '0.2 s'],
    [9_940, '9.9 s'],
    [9_960, '10 s'],
    [59_400, '59 s'],
    [59_600, '1 min 00 s'],
    [72_000, '1 min 12 s'],
    [3_700_000, '1 h 01 min'],
    [180_000_000, '2 d 2 h'],
    [-5, '0.0 s']
  ])('%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it.each([
    [240, '0 s'],
    [9_940, '9 s'],
    [59_999, '59 s'],
    [61_900, '1 min 01 s']
  ])('%d ms on a ticking clock is %s', (ms, text) => expect(formatDuration(ms, true)).toBe(text));

  it.each([
    [2, 'just now'],
    [25, '25 s ago'],
    [150, '2 min ago'],
    [3 * 3600 + 5, '3 h ago'],
    [4 * 86400, '4 d ago'],
    [-40, 'in 40 s']
  ])('%d s before now is "%s"', (seconds, text) =>
    expect(formatRelative(at(0), Date.parse(at(0)) + seconds * 1000)).toBe(text)
  );

  it('names the date of what is long ago', () => {
    expect(formatRelative(at(0), Date.parse(at(0)) + 30 * 86_400_000)).toBe('2026-01-31');
    expect(formatRelative('nonsense', 0)).toBe('');
  });

  it('reads times in the zone of the reader', () => {
    expect(formatClock('2026-01-31T14:03:07')).toBe('14:03:07');
    expect(formatMoment('2026-01-31T14:03:07')).toBe('2026-01-31 14:03:07');
    expect(formatClock('nonsense')).toBe('');
  });

  it('measures what goes on up to now', () => {
    const now = Date.parse(at(9));
    expect(spanBetween(at(2), null, now)).toBe(7000);
    expect(spanBetween(at(2), at(5), now)).toBe(3000);
    expect(spanBetween(null, null, now)).toBeNull();
    expect(spanBetween(at(12), null, now)).toBe(0);
  });
});

describe('text', () => {
  it('loses terminal colours, cursor moves, titles and links', () => {
    expect(
      plain(
        '\u001b[0;31mred\u001b[0m \u001b[2Kx \u001b]0;title\u0007y \u001b]8;;http://a\u001b\\link'
      )
    ).toBe('red x y link');
  });

  it('lets a carriage return overwrite its line', () => {
    expect(plain('10%\r50%\r100%\ndone\r\n')).toBe('100%\ndone\n');
    expect(plain('working\r')).toBe('working');
  });

  it('shows what could disguise something', () => {
    expect(plain('a\u0000b\u202egnp.exe')).toBe('a\\u0000b\\u202egnp.exe');
    expect(plain('tab\tstays\nas does the line')).toBe('tab\tstays\nas does the line');
  });

  it('finds lines that say something', () => {
    expect(firstLine('\n  \nfirst\nsecond')).toBe('first');
    expect(lastLine('first\nlast \n\n')).toBe('last');
    expect(lastLine('\n')).toBe('');
    expect(errorLine({ type: 'ValueError', message: 'bad\nmore' })).toBe('ValueError: bad');
    expect(errorLine({ type: 'Timeout', message: '' })).toBe('Timeout');
    expect(valueText({ a: [1, 'x'] })).toBe('{"a":[1,"x"]}');
  });
});

describe('states', () => {
  it('knows what can be asked of a run', () => {
    expect(isClosed(state('PENDING', 'NotReady'))).toBe(true);
    expect(isCancellable(state('RUNNING'))).toBe(true);
    expect(isCancellable(state('CANCELLING'))).toBe(false);
    expect(isCancellable(state('COMPLETED'))).toBe(false);
    expect(isUsual(state('RUNNING'))).toBe(true);
    expect(isUsual(state('SCHEDULED', 'AwaitingRetry'))).toBe(false);
    expect(stateLabel(state('SCHEDULED', 'AwaitingRetry'))).toBe('Awaiting retry');
  });
});

describe('drawings', () => {
  it('gives each type of state a shape of its own beside its name', () => {
    const shapes = new Set<string | null>();
    const badge = drawBadge();
    for (const type of STATE_TYPES) {
      badge.update(state(type));
      expect(badge.element.dataset.state).toBe(type);
      expect(badge.element.textContent?.toUpperCase()).toBe(type);
      shapes.add(badge.element.querySelector('path')!.getAttribute('d'));
    }
    expect(shapes.size).toBe(STATE_TYPES.length);
  });

  it('shows markup as text', () => {
    const badge = drawBadge();
    badge.update(state('FAILED', MARKUP, MARKUP));
    const error = drawError();
    error.update({ type: MARKUP, message: MARKUP, traceback: MARKUP });
    for (const { element } of [badge, error]) {
      expect(element.querySelectorAll('img, b')).toHaveLength(0);
      expect(element.textContent).toContain('<img src=x');
    }
    expect(badge.element.title).toContain('<b>');
  });

  it('stacks the progress by state', () => {
    const progress = drawProgress();
    progress.update(null);
    expect(progress.element.hidden).toBe(true);
    progress.update({ total: 8, done: 3, counts: { COMPLETED: 2, FAILED: 1, RUNNING: 1 } });
    expect(progress.element.hidden).toBe(false);
    const widths = [
      ...progress.element.querySelectorAll<HTMLElement>('.wf-Progress-segment:not([hidden])')
    ].map(segment => [segment.dataset.state, segment.style.width]);
    expect(widths).toEqual([
      ['COMPLETED', '25%'],
      ['FAILED', '12.5%'],
      ['RUNNING', '12.5%']
    ]);
    const track = progress.element.querySelector('[role=progressbar]')!;
    expect(track.getAttribute('aria-valuetext')).toBe(
      '3/8: 2 completed, 1 failed, 1 running, 4 to come'
    );
    expect(progressText(null)).toBe('');
    expect(countsText({ total: 1, done: 1, counts: { COMPLETED: 1 } })).toBe('1 completed');
  });

  it('places a bar on its axis', () => {
    const axis = { from: 100, to: 200 };
    expect(barSpan(125, 175, axis)).toEqual({ offset: 0.25, width: 0.5 });
    expect(barSpan(50, 400, axis)).toEqual({ offset: 0, width: 1 });
    expect(barSpan(null, 150, axis)).toEqual({ offset: 0, width: 0 });
    expect(barSpan(100, 150, { from: 100, to: 100 })).toEqual({ offset: 0, width: 0 });
  });

  it('opens an error to its traceback and leaves it open through updates', () => {
    const drawing = drawError();
    const error = {
      type: 'ValueError',
      message: 'bad',
      traceback: '\u001b[31mline 1\u001b[0m\nline 2\n'
    };
    drawing.update(error);
    const traceback = drawing.element.querySelector('pre')!;
    const toggle = drawing.element.querySelector('button')!;
    expect(traceback.hidden).toBe(true);
    toggle.click();
    drawing.update({ ...error });
    expect(traceback.hidden).toBe(false);
    expect(toggle.getAttribute('aria-expanded')).toBe('true');
    expect(traceback.textContent).toBe('line 1\nline 2');
    drawing.update(null);
    expect(drawing.element.hidden).toBe(true);
  });

  it('counts attempts where there can be more than one', () => {
    expect(attemptsText({ attempt: 1, max_attempts: 1 })).toBe('');
    expect(attemptsText({ attempt: 2, max_attempts: 4 })).toBe('2/4');
    expect(attemptsText({ attempt: 3, max_attempts: 1 })).toBe('3');
    expect(attemptsText({ attempt: 5, max_attempts: 4 })).toBe('5/5');
  });
});
