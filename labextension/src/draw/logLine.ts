import type { LogLine } from '../model/logBuffer';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { plain } from './text';
import { formatClock, formatMoment } from './time';

/** The height of a line in px; `screen.css` sets the same. */
export const LOG_ROW = 19;

const NAMES: readonly (readonly [number, string])[] = [
  [50, 'CRITICAL'],
  [40, 'ERROR'],
  [30, 'WARNING'],
  [20, 'INFO'],
  [0, 'DEBUG']
];

/** The standard library's name of a log level. */
export function levelName(level: number): string {
  return NAMES.find(([from]) => level >= from)?.[1] ?? 'DEBUG';
}

const TEXTS = new WeakMap<LogLine, string>();

/** A line's text made plain, once. */
export function lineText(line: LogLine): string {
  let text = TEXTS.get(line);
  if (text === undefined) {
    text = plain(line.message).trimEnd();
    TEXTS.set(line, text);
  }
  return text;
}

/** A log line, whose it is, what is looked for, whether it is the match that the reader is at, and whether it is open. */
export interface LogLineView {
  line: LogLine;
  name: string;
  search: string;
  current: boolean;
  open: boolean;
}

/** Time, level, run, text. Only the first line of the text until it is opened. */
export function drawLogLine(): Drawing<LogLineView> {
  const element = make('div', 'wf-Log');
  const time = make('time', 'wf-Log-time');
  const level = make('span', 'wf-Log-level');
  const run = make('span', 'wf-Log-run');
  const text = make('span', 'wf-Log-text');
  const more = make('span', 'wf-Log-more');
  element.setAttribute('role', 'listitem');
  element.append(time, level, run, text, more);
  let drawn: LogLineView | null = null;
  return {
    element,
    update(view) {
      const { line, name, search, current, open } = view;
      if (
        drawn !== null &&
        drawn.line === line &&
        drawn.name === name &&
        drawn.search === search &&
        drawn.current === current &&
        drawn.open === open
      ) {
        return;
      }
      drawn = view;
      const at = new Date(line.at).toISOString();
      const whole = lineText(line);
      const lines = whole.split('\n');
      setAttribute(element, 'data-level', levelName(line.level));
      setAttribute(element, 'data-run-id', line.runId);
      setAttribute(element, 'data-current', String(current));
      setAttribute(time, 'datetime', at);
      setAttribute(time, 'title', formatMoment(at));
      setText(time, formatClock(at));
      setText(level, levelName(line.level));
      setText(run, name);
      setAttribute(run, 'title', name ? `${name}\nShow only this one` : null);
      showText(text, open ? whole : lines[0], search);
      setAttribute(text, 'title', open ? null : whole.slice(0, 2000));
      more.hidden = open || lines.length < 2;
      setText(more, lines.length === 2 ? '+1 line' : `+${lines.length - 1} lines`);
    }
  };
}

/** Set a text with what is looked for marked in it. */
function showText(element: HTMLElement, text: string, search: string): void {
  if (search === '') {
    setText(element, text);
    return;
  }
  const lower = text.toLowerCase();
  const parts: (string | Node)[] = [];
  let from = 0;
  // Lower case may be longer (İ): then places differ, and nothing is marked rather than something wrong.
  for (let at = lower.indexOf(search); at >= 0 && lower.length === text.length;) {
    parts.push(
      text.slice(from, at),
      make('mark', 'wf-Log-mark', text.slice(at, at + search.length))
    );
    from = at + search.length;
    at = lower.indexOf(search, from);
  }
  element.replaceChildren(...parts, text.slice(from));
}
