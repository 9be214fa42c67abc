import * as React from 'react';
import type { RunJSON } from '../api/schema';
import type { TreeRow } from '../model/tree';
import { TASK_ROW_HEIGHT, TaskRow } from './TaskRow';
import { useRows } from './useRows';

const HEADINGS: readonly (readonly [string, string])[] = [
  ['state', 'State'],
  ['name', 'Name'],
  ['bar', 'Timeline'],
  ['attempts', 'Tries'],
  ['start', 'Start'],
  ['duration', 'Duration'],
  ['error', 'Error']
];

/** The tasks and cells of a run as a tree: arrows walk and open, Enter narrows the log to a row. */
export function TaskTable(props: {
  run: RunJSON;
  rows: readonly TreeRow[];
  now: number;
  selectedId: string | null;
  hasMore: boolean;
  loadingMore: boolean;
  onSelect: (id: string) => void;
  onToggle: (id: string, expanded: boolean) => void;
  onLoadMore: () => void;
}): JSX.Element {
  const { run, rows, now, selectedId, onSelect, onToggle } = props;
  const ids = React.useMemo(() => rows.map(row => row.run.id), [rows]);
  const list = useRows(ids, TASK_ROW_HEIGHT);
  const { first, last, before, after } = list.window;
  const axis = {
    from: Date.parse(run.started_at ?? run.created_at),
    to: run.ended_at === null ? now : Date.parse(run.ended_at)
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const row = rows[list.active];
    if (row === undefined || list.onWalk(event)) {
      return;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      onSelect(row.run.id);
    } else if (event.key === 'ArrowRight' && row.expandable && !row.expanded) {
      event.preventDefault();
      onToggle(row.run.id, true);
    } else if (event.key === 'ArrowLeft' && row.expanded) {
      event.preventDefault();
      onToggle(row.run.id, false);
    } else if (event.key === 'ArrowLeft' && row.level > 1) {
      event.preventDefault();
      list.go(ids.indexOf(row.run.parent_id ?? ''));
    }
  };
  return (
    <div className="jp-WfTasks" ref={list.box} onScroll={list.onScroll}>
      <div
        role="treegrid"
        aria-label="Tasks"
        aria-rowcount={rows.length + 1}
        onKeyDown={onKeyDown}
        onFocus={event => {
          const id = (event.target as HTMLElement).dataset.row;
          if (id !== undefined) {
            list.setActive(ids.indexOf(id));
          }
        }}
      >
        <div className="jp-WfTasks-head" role="row">
          {HEADINGS.map(([id, label]) => (
            <span key={id} role="columnheader" className={`jp-WfCol-${id}`}>
              {label}
            </span>
          ))}
        </div>
        <div style={{ height: before }} />
        {rows.slice(first, last).map((row, index) => (
          <TaskRow
            key={row.run.id}
            row={row}
            now={now}
            axis={axis}
            active={first + index === list.active}
            selected={row.run.id === selectedId}
            onSelect={onSelect}
            onToggle={onToggle}
          />
        ))}
        <div style={{ height: after }} />
      </div>
      {props.hasMore && (
        <button
          type="button"
          className="wf-Button jp-WfTasks-more"
          disabled={props.loadingMore}
          onClick={props.onLoadMore}
        >
          {props.loadingMore ? 'Loading…' : 'Load more tasks'}
        </button>
      )}
    </div>
  );
}
