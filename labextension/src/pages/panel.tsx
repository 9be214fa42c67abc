import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';
import { type AutomationActions, AutomationList } from '../components/AutomationList';
import type { DeploymentActions } from '../components/DeploymentRow';
import { DeploymentList } from '../components/DeploymentList';
import { EmptyState } from '../components/EmptyState';
import { FilterBar } from '../components/FilterBar';
import { ConnectionNotice, Problem } from '../components/Notices';
import { RunList } from '../components/RunList';
import { workflowIcon } from '../components/icons';
import type { AutomationsModel } from '../model/automations';
import type { DeploymentsModel } from '../model/deployments';
import { NO_FILTER } from '../model/filter';
import type { RunsModel, RunsView } from '../model/runs';

/** What the panel asks the application to do. */
export interface PanelActions {
  openRun: (id: string) => void;
  /** Run the notebook in front, or null where the panel should not offer it. */
  runNotebook: (() => void) | null;
  /** Open the form of a schedule for the notebook in front, or null where the panel should not offer it. */
  scheduleNotebook: (() => void) | null;
  deployments: DeploymentActions;
  automations: AutomationActions;
}

/** The panel's content for one view of the model. */
export function Panel(props: {
  view: RunsView;
  model: RunsModel;
  actions: PanelActions;
  /** What stands above the list of runs. */
  above?: React.ReactNode;
}): JSX.Element {
  const { view, model, actions, above } = props;
  const filtered = view.filter.text.trim() !== '' || view.filter.choice !== 'all';
  return (
    <div className="jp-WfPanel-content" data-connection={view.connection}>
      <div className="jp-WfPanel-head">
        <h2>Workflows</h2>
      </div>
      {above}
      {above !== undefined && <h3 className="jp-WfPanel-title">Runs</h3>}
      <FilterBar filter={view.filter} onChange={filter => void model.setFilter(filter)} />
      <ConnectionNotice connection={view.connection} />
      <Problem text={view.problem} onDismiss={() => model.dismissProblem()} />
      {view.phase === 'loading' && <p className="jp-WfPanel-note">Loading…</p>}
      {view.phase === 'failed' && (
        <div className="jp-WfPanel-note">
          <p>The runs could not be loaded; the next try comes by itself.</p>
          <button type="button" className="wf-Button" onClick={() => void model.reload()}>
            Try now
          </button>
        </div>
      )}
      {view.phase === 'ready' &&
        (view.runs.length > 0 || view.hasMore ? (
          <RunList
            runs={view.runs}
            hasMore={view.hasMore}
            loadingMore={view.loadingMore}
            onOpen={actions.openRun}
            onCancel={id => void model.cancel(id)}
            onLoadMore={() => void model.loadMore()}
          />
        ) : filtered ? (
          <div className="jp-WfPanel-note">
            <p>No run fits the filter.</p>
            <button
              type="button"
              className="wf-Button"
              onClick={() => void model.setFilter(NO_FILTER)}
            >
              Show all
            </button>
          </div>
        ) : (
          <EmptyState onRunNotebook={actions.runNotebook} />
        ))}
    </div>
  );
}

/** The left panel "Workflows": it starts the model when it is shown for the first time. */
export class WorkflowPanel extends ReactWidget {
  constructor(
    private readonly model: RunsModel,
    private readonly deployments: DeploymentsModel,
    private readonly automations: AutomationsModel,
    private readonly actions: PanelActions
  ) {
    super();
    this.id = 'jupyter-wf-panel';
    this.addClass('jp-WfPanel');
    this.addClass('wf-root');
    this.title.icon = workflowIcon;
    this.title.caption = 'Workflows';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Workflows');
  }

  protected override onAfterAttach(...args: Parameters<ReactWidget['onAfterAttach']>): void {
    super.onAfterAttach(...args);
    this.model.start();
  }

  /** Nothing tells of changes of automations: they are read when somebody looks again. */
  protected override onAfterShow(...args: Parameters<ReactWidget['onAfterShow']>): void {
    super.onAfterShow(...args);
    this.automations.refresh();
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.model.changed}>
        {() => (
          <Panel
            view={this.model.view}
            model={this.model}
            actions={this.actions}
            above={
              <>
                {this.scheduled()}
                {this.automated()}
              </>
            }
          />
        )}
      </UseSignal>
    );
  }

  private scheduled(): JSX.Element {
    const { deployments, actions } = this;
    return (
      <UseSignal signal={deployments.changed}>
        {() => (
          <DeploymentList
            view={deployments.view}
            actions={actions.deployments}
            onSchedule={actions.scheduleNotebook}
            onDismiss={() => deployments.dismissProblem()}
          />
        )}
      </UseSignal>
    );
  }

  private automated(): JSX.Element {
    const { automations, actions } = this;
    return (
      <UseSignal signal={automations.changed}>
        {() => (
          <AutomationList
            view={automations.view}
            actions={actions.automations}
            onDismiss={() => automations.dismissProblem()}
          />
        )}
      </UseSignal>
    );
  }
}
