import { barSpan, drawBar } from '../draw/bar';
import { drawStateIcon } from '../draw/badge';
import { type Drawing, make, setAttribute, setText } from '../draw/drawing';
import { drawError } from '../draw/error';
import { attemptsText } from '../draw/attempts';
import { progressText } from '../draw/progress';
import { isClosed, isUsual, stateLabel } from '../draw/states';
import { lastLine, plain } from '../draw/text';
import { formatDuration, spanBetween } from '../draw/time';
import type { RowJSON } from './snapshot';

/** A row and the clock it is seen by: `now` and the time axis are in ms since the epoch. */
export interface RowView {
  row: RowJSON;
  now: number;
  axis: { from: number; to: number };
}

/** One task: state, name, bar, attempts, duration, last log line, error. */
export function drawRow(): Drawing<RowView> {
  const element = make('div', 'wf-TaskRow');
  const line = make('div', 'wf-TaskRow-line');
  const title = make('div', 'wf-TaskRow-title');
  const icon = drawStateIcon();
  const state = make('span', 'wf-TaskRow-state');
  const name = make('span', 'wf-TaskRow-name');
  const bar = drawBar();
  const attempts = make('span', 'wf-TaskRow-attempts');
  const duration = make('span', 'wf-TaskRow-duration');
  const log = make('span', 'wf-TaskRow-log');
  const error = drawError();
  element.setAttribute('role', 'listitem');
  title.append(icon.element, name, state);
  line.append(title, bar.element, attempts, duration, log);
  element.append(line, error.element);
  return {
    element,
    update({ row, now, axis }) {
      const closed = isClosed(row.state);
      const span = spanBetween(row.started_at, row.ended_at, now);
      setAttribute(element, 'data-state', row.state.type);
      setAttribute(element, 'data-run-id', row.id);
      icon.update(row.state.type);
      setText(state, stateLabel(row.state));
      state.classList.toggle('wf-hidden', isUsual(row.state));
      setAttribute(title, 'title', titleText(row));
      setText(name, plain(row.name));
      bar.update({ ...rowBar(row, now, axis), state: row.state.type });
      const parts = [attemptsText(row), progressText(row.progress)].filter(Boolean);
      setText(attempts, parts.join(' · '));
      setAttribute(attempts, 'title', attemptsText(row) ? `Attempt ${attemptsText(row)}` : null);
      setText(duration, span === null ? '' : formatDuration(span, !closed));
      const text = row.last_log ? lastLine(row.last_log) : '';
      setText(log, text);
      setAttribute(log, 'title', text ? plain(row.last_log ?? '') : null);
      error.update(row.error);
    }
  };
}

function titleText(row: RowJSON): string {
  const message = row.state.message ? ` – ${plain(row.state.message)}` : '';
  return `${plain(row.name)}: ${stateLabel(row.state)}${message}`;
}

function rowBar(
  row: RowJSON,
  now: number,
  axis: { from: number; to: number }
): { offset: number; width: number } {
  const start = row.started_at === null ? null : Date.parse(row.started_at);
  const end =
    row.ended_at === null ? (isClosed(row.state) ? (start ?? now) : now) : Date.parse(row.ended_at);
  return barSpan(start, end, axis);
}
