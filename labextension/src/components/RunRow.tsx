import * as React from 'react';
import type { RunJSON } from '../api/schema';
import { drawBadge } from '../draw/badge';
import { drawProgress } from '../draw/progress';
import { errorLine } from '../draw/text';
import { isClosed, stateLabel } from '../draw/states';
import { formatDuration, formatMoment, formatRelative, spanBetween } from '../draw/time';
import { Drawn } from './Drawn';
import { runStep, runSubtitle, runTitle } from '../draw/names';

/** The height of a row in px; `panel.css` sets the same. */
export const RUN_ROW_HEIGHT = 50;

/** One run in the list: state, what it is a run of, its name, progress, duration, and when it began. */
export function RunRow(props: {
  run: RunJSON;
  now: number;
  active: boolean;
  onOpen: (id: string) => void;
}): JSX.Element {
  const { run, now, active, onOpen } = props;
  const span = spanBetween(run.started_at, run.ended_at, now);
  const when = run.started_at ?? run.created_at;
  const lines = [
    `${runTitle(run)}: ${stateLabel(run.state)}`,
    runSubtitle(run),
    runStep(run),
    run.error ? errorLine(run.error) : '',
    formatMoment(when)
  ];
  return (
    <div
      className="jp-WfRunRow"
      role="option"
      aria-selected={active}
      tabIndex={active ? 0 : -1}
      data-row={run.id}
      data-run-id={run.id}
      data-can-retry={run.can_retry}
      data-state={run.state.type}
      title={lines.filter(Boolean).join('\n')}
      onClick={() => onOpen(run.id)}
    >
      <div className="jp-WfRunRow-line">
        <span className="jp-WfRunRow-title">{runTitle(run)}</span>
        <span className="jp-WfRunRow-name">{runStep(run) || runSubtitle(run)}</span>
        <time className="jp-WfRunRow-when" dateTime={when}>
          {formatRelative(when, now)}
        </time>
      </div>
      <div className="jp-WfRunRow-line">
        <Drawn draw={drawBadge} value={run.state} />
        <Drawn draw={drawProgress} value={run.progress} className="jp-WfRunRow-progress" />
        <span className="jp-WfRunRow-duration">
          {span === null ? '' : formatDuration(span, !isClosed(run.state))}
        </span>
      </div>
    </div>
  );
}
