import type { RunJSON } from '../api/schema';
import { attemptsText } from './attempts';
import { drawBadge } from './badge';
import { make, setText } from './drawing';
import { drawTraceback } from './error';
import { rowTimes } from './groups';
import { drawParameters } from './parameters';
import { errorLine, lastLine, plain } from './text';
import { formatDuration, formatMoment } from './time';
import type { TabDrawing } from './tasks';
import type { Span, TreeRow } from './tree';

/** The run that is chosen, null for none, and the moment (ms) it is looked at. */
export interface DetailsView {
  row: TreeRow | null;
  now: number;
}

const WORDS: Record<Span['kind'], string> = { wait: 'Waited', run: 'Ran', pause: 'Paused' };

/**
 * What is known of the run that is chosen: state and message, times, attempts, error with traceback, parameters.
 * `describe` asks for what the tree does not hold; null where nobody can be asked.
 */
export function drawDetails(
  onClose: () => void,
  describe: ((id: string) => Promise<RunJSON>) | null
): TabDrawing<DetailsView> {
  const element = make('section', 'wf-Details');
  const head = make('div', 'wf-Details-head');
  const badge = drawBadge();
  const name = make('span', 'wf-Details-name');
  const close = make('button', 'wf-Button wf-Details-close', '✕');
  const facts = make('dl', 'wf-Details-facts');
  const message = make('div', 'wf-Details-message');
  const parameters = drawParameters();
  const error = make('div', 'wf-Details-error');
  const traceback = drawTraceback();
  element.setAttribute('aria-label', 'The chosen task');
  close.type = 'button';
  close.title = 'Close';
  close.setAttribute('aria-label', 'Close the details');
  close.addEventListener('click', onClose);
  element.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      onClose();
    }
  });
  head.append(badge.element, name, close);
  element.append(head, message, facts, parameters.element, error, traceback.element);
  let shownId: string | null = null;
  let disposed = false;
  let drawnFacts = '';
  const ask = (id: string): void => {
    void describe?.(id).then(
      run => {
        if (id === shownId && !disposed) {
          parameters.update(run.parameters);
        }
      },
      // The rest is shown anyway; that the server does not answer is said elsewhere.
      () => undefined
    );
  };
  return {
    element,
    dispose: () => {
      disposed = true;
    },
    update({ row, now }) {
      element.hidden = row === null;
      if (row === null) {
        shownId = null;
        return;
      }
      if (row.id !== shownId) {
        shownId = row.id;
        parameters.update({});
        ask(row.id);
      }
      badge.update({ ...row.state, at: '' });
      setText(name, plain(row.name));
      name.title = `${plain(row.name)}\n${row.id}`;
      const said = messageOf(row);
      message.hidden = said === '';
      setText(message, said);
      error.hidden = row.error === null;
      setText(error, row.error === null ? '' : errorLine(row.error));
      traceback.update(row.error?.traceback ? row.error : null);
      const pairs = factsOf(row, now);
      const text = JSON.stringify(pairs);
      if (text !== drawnFacts) {
        drawnFacts = text;
        facts.replaceChildren(
          ...pairs.map(([term, value]) => {
            const pair = make('div', 'wf-Fact');
            pair.append(make('dt', '', term), make('dd', '', value));
            pair.title = `${term}: ${value}`;
            return pair;
          })
        );
      }
    }
  };
}

/** What the state and the staleness have to say; a failure's message is its error, which is shown below. */
function messageOf(row: TreeRow): string {
  const message = row.state.message ? plain(row.state.message) : '';
  const parts = [
    row.error === null || message !== errorLine(row.error) ? message : '',
    row.stale === null ? '' : `Out of date: ${plain(row.stale)}`
  ];
  return parts.filter(Boolean).join('\n');
}

function factsOf(row: TreeRow, now: number): [string, string][] {
  const { startedAt, endedAt } = rowTimes(row);
  const facts: [string, string][] = [];
  if (startedAt !== null) {
    facts.push(['Started', formatMoment(new Date(startedAt).toISOString())]);
    if (endedAt !== null) {
      facts.push(['Ended', formatMoment(new Date(endedAt).toISOString())]);
    }
  }
  for (const kind of ['run', 'wait', 'pause'] as const) {
    const spent = row.spans.filter(span => span.kind === kind);
    const ms = spent.reduce((sum, span) => sum + Math.max(0, (span.to ?? now) - span.from), 0);
    if (spent.length > 0 && (kind === 'run' || ms >= 1)) {
      facts.push([
        WORDS[kind],
        formatDuration(
          ms,
          spent.some(span => span.to === null)
        )
      ]);
    }
  }
  if (attemptsText({ attempt: row.attempt, max_attempts: row.maxAttempts })) {
    facts.push(['Attempt', attemptsText({ attempt: row.attempt, max_attempts: row.maxAttempts })]);
  }
  if (row.lastLog && row.error === null) {
    facts.push(['Last line', lastLine(row.lastLog)]);
  }
  facts.push(['Run', row.id.slice(0, 8)]);
  return facts;
}
