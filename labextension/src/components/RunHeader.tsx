import * as React from 'react';
import type { RunJSON } from '../api/schema';
import { attemptsText } from '../draw/attempts';
import { drawBadge } from '../draw/badge';
import { drawProgress } from '../draw/progress';
import { isCancellable, isClosed } from '../draw/states';
import { plain, valueText } from '../draw/text';
import { formatDuration, formatMoment, formatRelative, spanBetween } from '../draw/time';
import { Drawn } from './Drawn';
import { runSubtitle, runTitle } from '../draw/names';

/** What the header's buttons do. */
export interface RunActions {
  onCancel: () => void;
  onRetry: () => void;
  onOpenNotebook: () => void;
  onCopy: (text: string) => void;
}

/** The top of a run page: state, names, times, progress, attempt, parameters, and what can be done. */
export function RunHeader(props: { run: RunJSON; now: number; actions: RunActions }): JSX.Element {
  const { run, now, actions } = props;
  const span = spanBetween(run.started_at, run.ended_at, now);
  const parameters = Object.entries(run.parameters);
  return (
    <header className="jp-WfHeader">
      <div className="jp-WfHeader-line">
        <Drawn draw={drawBadge} value={run.state} />
        <h2 className="jp-WfHeader-title">{runTitle(run)}</h2>
        <span className="jp-WfHeader-name">{runSubtitle(run)}</span>
        <RunButtons run={run} actions={actions} />
      </div>
      {run.state.message && <p className="jp-WfHeader-message">{plain(run.state.message)}</p>}
      <Drawn draw={drawProgress} value={run.progress} className="jp-WfHeader-progress" />
      <dl className="jp-WfFacts">
        <Fact name="Started">
          {run.started_at === null ? (
            'not yet'
          ) : (
            <time dateTime={run.started_at} title={formatMoment(run.started_at)}>
              {formatMoment(run.started_at)} ({formatRelative(run.started_at, now)})
            </time>
          )}
        </Fact>
        <Fact name="Duration">
          {span === null ? '–' : formatDuration(span, !isClosed(run.state))}
        </Fact>
        <Fact name="Attempt">{attemptsText(run) || String(run.attempt)}</Fact>
        <Fact name="Run">
          <code title={run.id}>{run.id.slice(0, 8)}</code>
        </Fact>
      </dl>
      {parameters.length > 0 && (
        <dl className="jp-WfFacts jp-WfParameters" aria-label="Parameters">
          {parameters.map(([name, value]) => (
            <Fact key={name} name={plain(name)}>
              <code title={valueText(value)}>{valueText(value)}</code>
            </Fact>
          ))}
        </dl>
      )}
      <ExecutedPath run={run} onCopy={actions.onCopy} />
    </header>
  );
}

function Fact(props: { name: string; children: React.ReactNode }): JSX.Element {
  return (
    <div className="jp-WfFact">
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

function RunButtons(props: { run: RunJSON; actions: RunActions }): JSX.Element {
  const { run, actions } = props;
  const { executed, executed_path: path } = run.source;
  const below = typeof path === 'string' && path !== '';
  const cancelling = run.state.type === 'CANCELLING';
  return (
    <span className="jp-WfHeader-buttons">
      {(below || typeof executed === 'string') && (
        <button
          type="button"
          className="wf-Button jp-WfOpenNotebook"
          title={below ? path : 'Copies it next to the notebook that was run, and opens the copy'}
          onClick={actions.onOpenNotebook}
        >
          Open executed notebook
        </button>
      )}
      {(isCancellable(run.state) || cancelling) && (
        <button
          type="button"
          className="wf-Button jp-WfCancel"
          disabled={cancelling}
          onClick={actions.onCancel}
        >
          {cancelling ? 'Cancelling…' : 'Cancel'}
        </button>
      )}
      {run.can_retry && (
        <button type="button" className="wf-Button jp-WfRetry" onClick={actions.onRetry}>
          Retry
        </button>
      )}
    </span>
  );
}

/** Where the executed notebook lies, when it is not below the folder that Jupyter shows. */
function ExecutedPath(props: { run: RunJSON; onCopy: (text: string) => void }): JSX.Element | null {
  const { executed, executed_path: path } = props.run.source;
  if (typeof executed !== 'string' || executed === '' || typeof path === 'string') {
    return null;
  }
  return (
    <div className="jp-WfExecuted">
      <span>Executed notebook:</span>
      <code title={plain(executed)}>{plain(executed)}</code>
      <button type="button" className="wf-Button" onClick={() => props.onCopy(executed)}>
        Copy path
      </button>
    </div>
  );
}
