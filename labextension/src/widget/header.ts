import { drawBadge } from '../draw/badge';
import { type Drawing, make, setAttribute, setText } from '../draw/drawing';
import { drawError } from '../draw/error';
import { attemptsText } from '../draw/attempts';
import { runSubtitle, runTitle } from '../draw/names';
import { drawProgress } from '../draw/progress';
import { isCancellable, isClosed } from '../draw/states';
import { lastLine, plain } from '../draw/text';
import { formatDuration, spanBetween } from '../draw/time';
import type { RunViewMessage, ViewJSON } from './snapshot';

/** A snapshot and the moment it is looked at, in ms since the epoch by the kernel's clock. */
export interface HeaderView {
  view: ViewJSON;
  now: number;
  connected: boolean;
}

/** The top of the widget: state, name, progress, elapsed time, Cancel and Retry; below it its last line and error. */
export function drawHeader(send: (message: RunViewMessage) => void): Drawing<HeaderView> {
  const element = make('div', 'wf-RunView-top');
  const header = make('div', 'wf-RunView-header');
  const badge = drawBadge();
  const name = make('span', 'wf-RunView-name');
  const subtitle = make('span', 'wf-RunView-subtitle');
  const attempts = make('span', 'wf-RunView-attempts');
  const progress = drawProgress();
  const elapsed = make('span', 'wf-RunView-elapsed');
  const cancel = make('button', 'wf-Button wf-RunView-cancel', 'Cancel');
  const retry = make('button', 'wf-Button wf-RunView-retry', 'Retry');
  const log = make('div', 'wf-RunView-log');
  const error = drawError();
  let current: HeaderView | null = null;
  let asked: string | null = null;

  const ask = (type: 'cancel' | 'retry'): void => {
    if (current !== null) {
      asked = mark(current.view, type);
      send({ type, run_id: current.view.run.id });
      update(current);
    }
  };
  cancel.type = retry.type = 'button';
  cancel.addEventListener('click', () => ask('cancel'));
  retry.addEventListener('click', () => ask('retry'));
  header.append(badge.element, name, subtitle, attempts, progress.element, elapsed, cancel, retry);
  element.append(header, log, error.element);

  const update = (value: HeaderView): void => {
    current = value;
    const { view, now, connected } = value;
    const { run } = view;
    const span = spanBetween(run.started_at, run.ended_at, now);
    badge.update(run.state);
    setText(name, runTitle(run));
    subtitle.hidden = runSubtitle(run) === '';
    setText(subtitle, runSubtitle(run));
    setAttribute(name, 'title', `${plain(run.name)} (${run.id.slice(0, 8)})`);
    attempts.hidden = attemptsText(run) === '';
    setText(attempts, attemptsText(run) ? `attempt ${attemptsText(run)}` : '');
    progress.update(view.progress);
    elapsed.hidden = span === null;
    setText(elapsed, span === null ? '' : formatDuration(span, view.live));
    cancel.hidden = !(connected && view.live && !isClosed(run.state));
    cancel.disabled = !isCancellable(run.state) || asked === mark(view, 'cancel');
    setText(cancel, cancel.disabled ? 'Cancelling…' : 'Cancel');
    retry.hidden = !(connected && view.can_retry);
    retry.disabled = asked === mark(view, 'retry');
    setText(retry, retry.disabled ? 'Retrying…' : 'Retry');
    // With rows each has its own last line; a task alone has only this place for it.
    const line = view.tasks.length === 0 && view.last_log ? lastLine(view.last_log) : '';
    log.hidden = line === '';
    setText(log, line);
    setAttribute(log, 'title', line ? plain(view.last_log ?? '') : null);
    // A task's error shows at its row; the run's own is worth a line where no row has it.
    error.update(
      view.tasks.some(task => task.error?.message === run.error?.message) ? null : run.error
    );
  };
  return { element, update };
}

/** A request holds for one attempt: the next one has its own buttons. */
function mark(view: ViewJSON, type: string): string {
  return `${type} ${view.run.id} ${view.run.attempt}`;
}
