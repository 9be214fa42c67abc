import * as React from 'react';
import type { RunJSON } from '../api/schema';
import { isCancellable, isClosed } from '../draw/states';
import { RUN_ROW_HEIGHT, RunRow } from './RunRow';
import { tickFor, useNow } from './useNow';
import { useRows } from './useRows';

/** The list of runs: arrows walk, Enter opens, Delete cancels. */
export function RunList(props: {
  runs: readonly RunJSON[];
  hasMore: boolean;
  loadingMore: boolean;
  onOpen: (id: string) => void;
  onCancel: (id: string) => void;
  onLoadMore: () => void;
}): JSX.Element {
  const { runs, hasMore, loadingMore, onOpen, onCancel, onLoadMore } = props;
  const now = useNow(tickFor(runs.some(run => !isClosed(run.state))));
  const ids = React.useMemo(() => runs.map(run => run.id), [runs]);
  const rows = useRows(ids, RUN_ROW_HEIGHT);
  const { first, last, before, after } = rows.window;

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const run = runs[rows.active];
    if (run === undefined || rows.onWalk(event)) {
      return;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      onOpen(run.id);
    } else if (event.key === 'Delete' && isCancellable(run.state)) {
      event.preventDefault();
      onCancel(run.id);
    }
  };
  return (
    <div className="jp-WfPanel-scroll" ref={rows.box} onScroll={rows.onScroll}>
      <div
        className="jp-WfPanel-list"
        role="listbox"
        aria-label="Runs"
        style={{ paddingTop: before, paddingBottom: after }}
        onKeyDown={onKeyDown}
        onFocus={event => {
          const id = (event.target as HTMLElement).dataset.row;
          if (id !== undefined) {
            rows.setActive(ids.indexOf(id));
          }
        }}
      >
        {runs.slice(first, last).map((run, index) => (
          <RunRow
            key={run.id}
            run={run}
            now={now}
            active={first + index === rows.active}
            onOpen={onOpen}
          />
        ))}
      </div>
      {hasMore && (
        <button
          type="button"
          className="wf-Button jp-WfPanel-more"
          disabled={loadingMore}
          onClick={onLoadMore}
        >
          {loadingMore ? 'Loading…' : 'Load more'}
        </button>
      )}
    </div>
  );
}
