import type { RunJSON } from '../api/schema';
import type { EarlierJSON } from '../api/tree';
import type { TreeModel } from '../model/treeModel';
import { attemptsText } from './attempts';
import { drawBadge } from './badge';
import { type Action, Buttons } from './buttons';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { drawError } from './error';
import { runSubtitle, runTitle } from './names';
import { drawParameters } from './parameters';
import { drawProgress } from './progress';
import { plain } from './text';
import { formatDuration, formatMoment, formatRelative, spanBetween } from './time';

/** What the top of a screen shows. `ownError`: no row below has the run's error, so that it is shown here. */
export interface HeadView {
  model: TreeModel;
  run: RunJSON;
  now: number;
  ownError: boolean;
  isOpen: boolean;
}

export interface HeadOptions {
  actions: readonly Action[];
  /** Whether to say when the run began and what its id is. */
  facts: boolean;
  /** The button that opens and closes what is below; null where that is always open. */
  onDisclose: (() => void) | null;
  /** The id of what is below. */
  bodyId: string;
}

/** The top of a screen: state, name, attempts, progress, elapsed time, what can be done; parameters, message, error. */
export function drawHead(options: HeadOptions): Drawing<HeadView> {
  const element = make('div', 'wf-Head');
  const line = make('div', 'wf-Head-line');
  const disclose = make('button', 'wf-Head-disclose');
  const badge = drawBadge();
  const name = make('span', 'wf-Head-name');
  const subtitle = make('span', 'wf-Head-subtitle');
  const attempts = make('span', 'wf-Head-attempts');
  const progress = drawProgress();
  const elapsed = make('span', 'wf-Head-elapsed');
  const buttons = new Buttons(options.actions);
  const facts = make('div', 'wf-Head-facts');
  const message = make('div', 'wf-Head-message');
  const stale = make('div', 'wf-Head-stale');
  const earlier = make('div', 'wf-Head-facts');
  const parameters = drawParameters();
  const error = drawError();
  disclose.type = 'button';
  disclose.hidden = options.onDisclose === null;
  disclose.setAttribute('aria-controls', options.bodyId);
  disclose.addEventListener('click', () => options.onDisclose?.());
  line.append(disclose, badge.element, name, subtitle, attempts, progress.element, elapsed);
  line.append(buttons.element);
  element.append(line, facts, message, stale, earlier, parameters.element, error.element);
  facts.hidden = !options.facts;
  return {
    element,
    update({ model, run, now, ownError, isOpen }) {
      const span = spanBetween(run.started_at, run.ended_at, now);
      setAttribute(disclose, 'aria-expanded', String(isOpen));
      setAttribute(disclose, 'aria-label', isOpen ? 'Hide the details' : 'Show the details');
      setText(disclose, isOpen ? '▾' : '▸');
      badge.update(run.state);
      setText(name, runTitle(run));
      setAttribute(name, 'title', `${runTitle(run)}\n${plain(run.name)} (${run.id.slice(0, 8)})`);
      subtitle.hidden = runSubtitle(run) === '';
      setText(subtitle, runSubtitle(run));
      setAttribute(subtitle, 'title', runSubtitle(run) || null);
      attempts.hidden = attemptsText(run) === '';
      setText(attempts, attempts.hidden ? '' : `attempt ${attemptsText(run)}`);
      progress.update(model.progress);
      elapsed.hidden = span === null;
      setText(elapsed, span === null ? '' : formatDuration(span, model.live));
      buttons.update(run);
      if (options.facts) {
        setText(facts, factsText(run, model.live ? now : null));
        setAttribute(facts, 'title', `Run ${run.id}`);
      }
      const text = run.state.message ? plain(run.state.message) : '';
      message.hidden = text === '';
      setText(message, text);
      stale.hidden = model.stale === null;
      setText(stale, model.stale === null ? '' : `Out of date: ${plain(model.stale)}`);
      earlier.hidden = model.earlier === null || model.earlier.total === 0;
      setText(earlier, model.earlier === null ? '' : earlierText(model.earlier));
      parameters.update(run.parameters);
      error.update(ownError ? run.error : null);
    }
  };
}

/** `now` is null where time stands still: then nothing is told by how long ago it was. */
function factsText(run: RunJSON, now: number | null): string {
  const { started_at: at } = run;
  const ago = at === null || now === null ? '' : ` (${formatRelative(at, now)})`;
  const began = at === null ? 'Not started yet' : `Started ${formatMoment(at)}${ago}`;
  return `${began} · run ${run.id.slice(0, 8)}`;
}

function earlierText({ total, counts }: EarlierJSON): string {
  const words = Object.entries(counts).map(
    ([name, count]) => `${count} ${plain(name).toLowerCase()}`
  );
  return `${total} earlier ${total === 1 ? 'run' : 'runs'} in this cell: ${words.join(', ')}`;
}
