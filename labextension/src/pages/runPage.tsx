import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';
import { ErrorBox } from '../components/ErrorBox';
import { LogView } from '../components/LogView';
import { runSubtitle, runTitle } from '../draw/names';
import { ConnectionNotice, Problem } from '../components/Notices';
import { type RunActions, RunHeader } from '../components/RunHeader';
import { TaskTable } from '../components/TaskTable';
import { tickFor, useNow } from '../components/useNow';
import { workflowIcon } from '../components/icons';
import { isClosed } from '../draw/states';
import type { RunModel, RunView } from '../model/run';

/** What a page asks the application to do. */
export interface PageActions extends Pick<RunActions, 'onCopy'> {
  openNotebook: (path: string) => void;
}

/** The page's content for one view of the model. */
export function RunPage(props: {
  view: RunView;
  model: RunModel;
  actions: PageActions;
}): JSX.Element {
  const { view, model, actions } = props;
  const { run, selected } = view;
  const now = useNow(tickFor(run !== null && !isClosed(run.state)));
  if (run === null) {
    return (
      <div className="jp-WfRunPage-note">
        {view.phase === 'loading' && <p>Loading…</p>}
        {view.phase === 'missing' && <p>There is no run {model.runId.slice(0, 8)} any more.</p>}
        {view.phase === 'failed' && (
          <p>The run could not be loaded; the next try comes by itself.</p>
        )}
        <Problem text={view.problem} onDismiss={() => model.dismissProblem()} />
      </div>
    );
  }
  const failed = selected ?? run;
  return (
    <div className="jp-WfRunPage-content" data-connection={view.connection}>
      <ConnectionNotice connection={view.connection} />
      <Problem text={view.problem} onDismiss={() => model.dismissProblem()} />
      <RunHeader
        run={run}
        now={now}
        actions={{
          onCopy: actions.onCopy,
          onOpenNotebook: () =>
            void model.executedNotebook().then(path => path !== null && actions.openNotebook(path)),
          onCancel: () => void model.cancel(),
          onRetry: () => void model.retry()
        }}
      />
      {failed.error && (
        <ErrorBox key={failed.id} error={failed.error} of={selected ? selected.name : null} />
      )}
      {view.rows.length > 0 || view.hasMore ? (
        <TaskTable
          run={run}
          rows={view.rows}
          now={now}
          selectedId={selected?.id ?? null}
          hasMore={view.hasMore}
          loadingMore={view.loadingMore}
          onSelect={id => model.select(id)}
          onToggle={(id, expanded) => model.setExpanded(id, expanded)}
          onLoadMore={() => void model.loadMore()}
        />
      ) : null}
      <LogView
        lines={view.lines}
        dropped={view.linesDropped}
        names={view.names}
        of={selected ? selected.name : null}
        onShowAll={() => model.select(null)}
      />
    </div>
  );
}

/** A run in the main area. It owns its model. */
export class RunPageContent extends ReactWidget {
  constructor(
    readonly model: RunModel,
    private readonly actions: PageActions
  ) {
    super();
    this.addClass('jp-WfRunPage');
    this.addClass('wf-root');
    this.node.dataset.runId = model.runId;
    this.title.icon = workflowIcon;
    this.title.label = `Run ${model.runId.slice(0, 8)}`;
    this.title.closable = true;
    model.changed.connect(this.onChanged, this);
    void model.load();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.model.dispose();
      super.dispose();
    }
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.model.changed}>
        {() => <RunPage view={this.model.view} model={this.model} actions={this.actions} />}
      </UseSignal>
    );
  }

  private onChanged(): void {
    const { run } = this.model.view;
    if (run !== null) {
      // A shortened id was resolved by the server.
      this.node.dataset.runId = run.id;
      this.node.dataset.state = run.state.type;
      const named = [runTitle(run), runSubtitle(run)].filter(text => text !== '').join(' · ');
      this.title.label = named.length > 60 ? `${named.slice(0, 59)}…` : named;
      this.title.caption = `${runTitle(run)}\n${run.name}\n${run.id}`;
    }
  }
}
