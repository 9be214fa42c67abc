import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';
import { ConnectionNotice, Problem } from '../components/Notices';
import { RunScreen } from '../components/RunScreen';
import { workflowIcon } from '../components/icons';
import { drawExecuted } from '../draw/executed';
import { runSubtitle, runTitle } from '../draw/names';
import type { ScreenOptions } from '../draw/screen';
import type { RunModel, RunView } from '../model/run';
import { type PageActions, pageActions } from './runActions';

/** What the screen of a run's page is made with; to be made once. */
export function screenOptions(model: RunModel, page: PageActions): Omit<ScreenOptions, 'memory'> {
  return {
    actions: pageActions(model, page),
    facts: true,
    describe: id => model.describe(id),
    extra: drawExecuted(page.onCopy)
  };
}

/** The page's content for one view of the model. */
export function RunPage(props: {
  view: RunView;
  model: RunModel;
  options: Omit<ScreenOptions, 'memory'>;
}): JSX.Element {
  const { view, model, options } = props;
  return (
    <div className="jp-WfRunPage-content" data-connection={view.connection}>
      <ConnectionNotice connection={view.connection} />
      <Problem text={view.problem} onDismiss={() => model.dismissProblem()} />
      {view.run === null ? (
        <div className="jp-WfRunPage-note">
          {view.phase === 'loading' && <p>Loading…</p>}
          {view.phase === 'missing' && <p>There is no run {model.runId.slice(0, 8)} any more.</p>}
          {view.phase === 'failed' && (
            <p>The run could not be loaded; the next try comes by itself.</p>
          )}
        </div>
      ) : (
        <RunScreen model={model.tree} options={options} />
      )}
    </div>
  );
}

/** A run in the main area. It owns its model. */
export class RunPageContent extends ReactWidget {
  constructor(
    readonly model: RunModel,
    page: PageActions
  ) {
    super();
    this.options = screenOptions(model, page);
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
        {() => <RunPage view={this.model.view} model={this.model} options={this.options} />}
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

  private readonly options: Omit<ScreenOptions, 'memory'>;
}
