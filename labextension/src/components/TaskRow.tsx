import * as React from 'react';
import { attemptsText } from '../draw/attempts';
import { drawBadge } from '../draw/badge';
import { barSpan, drawBar } from '../draw/bar';
import { runSubtitle, runTitle } from '../draw/names';
import { isClosed } from '../draw/states';
import { errorLine, plain } from '../draw/text';
import { formatClock, formatDuration, formatMoment, spanBetween } from '../draw/time';
import { progressText } from '../draw/progress';
import type { TreeRow } from '../model/tree';
import { Drawn } from './Drawn';

/** The height of a row in px; `page.css` sets the same. */
export const TASK_ROW_HEIGHT = 28;

/** One task or cell: state, name, timeline, attempts, start, duration, last error line. */
export function TaskRow(props: {
  row: TreeRow;
  now: number;
  axis: { from: number; to: number };
  active: boolean;
  selected: boolean;
  onSelect: (id: string) => void;
  onToggle: (id: string, expanded: boolean) => void;
}): JSX.Element {
  const { row, now, axis, active, selected, onSelect, onToggle } = props;
  const { run, level, expandable, expanded } = row;
  const span = spanBetween(run.started_at, run.ended_at, now);
  const start = run.started_at === null ? null : Date.parse(run.started_at);
  const end =
    run.ended_at !== null ? Date.parse(run.ended_at) : isClosed(run.state) ? (start ?? now) : now;
  const error = run.error
    ? errorLine(run.error)
    : isClosed(run.state) && run.state.type !== 'COMPLETED' && run.state.message
      ? plain(run.state.message)
      : '';
  const parts = progressText(run.progress);
  // A flow inside a flow has a name that says nothing alone.
  const named = run.kind === 'flow' ? [runTitle(run), runSubtitle(run)] : [plain(run.name)];
  const name = named.filter(text => text !== '').join(' · ');
  return (
    <div
      className="jp-WfTaskRow"
      role="row"
      aria-level={level}
      aria-expanded={expandable ? expanded : undefined}
      aria-selected={selected}
      tabIndex={active ? 0 : -1}
      data-row={run.id}
      data-run-id={run.id}
      data-state={run.state.type}
      onClick={() => onSelect(run.id)}
    >
      <span role="gridcell" className="jp-WfCol-state">
        <Drawn draw={drawBadge} value={run.state} />
      </span>
      <span
        role="gridcell"
        className="jp-WfCol-name"
        style={{ paddingLeft: (level - 1) * 16 }}
        title={name}
      >
        <span
          className="jp-WfTwisty"
          aria-hidden="true"
          onClick={event => {
            if (expandable) {
              event.stopPropagation();
              onToggle(run.id, !expanded);
            }
          }}
        >
          {expandable ? (expanded ? '▾' : '▸') : ''}
        </span>
        <span className="jp-WfTaskName">{name}</span>
        {parts && <span className="jp-WfTaskParts">{parts}</span>}
      </span>
      <span role="gridcell" className="jp-WfCol-bar">
        <Drawn
          draw={drawBar}
          value={{ ...barSpan(start, end, axis), state: run.state.type }}
          className="jp-WfBar"
        />
      </span>
      <span role="gridcell" className="jp-WfCol-attempts">
        {attemptsText(run)}
      </span>
      <span
        role="gridcell"
        className="jp-WfCol-start"
        title={run.started_at ? formatMoment(run.started_at) : undefined}
      >
        {run.started_at ? formatClock(run.started_at) : ''}
      </span>
      <span role="gridcell" className="jp-WfCol-duration">
        {span === null ? '' : formatDuration(span, !isClosed(run.state))}
      </span>
      <span role="gridcell" className="jp-WfCol-error" title={error}>
        {error}
      </span>
    </div>
  );
}
