import { deleteIcon, editIcon, runIcon, type LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { DeploymentDetailJSON, RunJSON } from '../api/schema';
import { drawStateIcon } from '../draw/badge';
import { nextRun, scheduleWords } from '../draw/schedule';
import { stateLabel, stateMark } from '../draw/states';
import { errorLine, plain } from '../draw/text';
import { formatMoment, formatRelative } from '../draw/time';
import { MARKS } from '../model/deployments';
import { Switch } from './Switch';

/** What can be done with a deployment. */
export interface DeploymentActions {
  openRun: (id: string) => void;
  setPaused: (id: string, paused: boolean) => void;
  /** Start a run; `ask` for its parameters first. */
  run: (id: string, ask: boolean) => void;
  edit: (id: string) => void;
  remove: (id: string) => void;
}

/** One deployment: what runs when, how its last runs went, and what can be done with it. */
export function DeploymentRow(props: {
  item: DeploymentDetailJSON;
  now: number;
  busy: boolean;
  actions: DeploymentActions;
}): JSX.Element {
  const { item, now, busy, actions } = props;
  const { deployment, last_runs } = item;
  const { id, paused, paused_reason } = deployment;
  const name = plain(deployment.name);
  const next = nextRun(deployment, now);
  const words = scheduleWords(deployment);
  return (
    <li
      className="jp-WfDeployment"
      data-deployment-id={id}
      data-name={deployment.name}
      data-paused={paused}
      aria-label={name}
    >
      <div className="jp-WfDeployment-line">
        <span
          className="jp-WfDeployment-name"
          title={`${plain(deployment.address)}\n${plain(deployment.target)}`}
        >
          {name}
        </span>
        <Switch
          on={!paused}
          busy={busy}
          label={`${name}: runs by schedule`}
          title={paused ? 'Paused: switch its schedules on' : 'Pause: its schedules make no runs'}
          onChange={on => actions.setPaused(id, !on)}
        />
      </div>
      <div className="jp-WfDeployment-line jp-WfDeployment-when">
        <span className="jp-WfDeployment-words" title={words}>
          {words}
        </span>
        {next.text !== '' && (
          <time dateTime={next.at ?? undefined} title={next.exact}>
            {next.text}
          </time>
        )}
      </div>
      {paused && paused_reason !== null && paused_reason !== '' && (
        <p className="jp-WfDeployment-reason">{plain(paused_reason)}</p>
      )}
      <div className="jp-WfDeployment-line">
        <Marks runs={last_runs} now={now} name={name} onOpen={actions.openRun} />
        <span className="jp-WfDeployment-actions">
          <IconButton
            icon={runIcon}
            label={`Run ${name} now`}
            title="Run now"
            disabled={busy}
            onClick={() => actions.run(id, false)}
          />
          <button
            type="button"
            className="jp-WfIconButton jp-WfIconButton-text"
            aria-label={`Run ${name} now with other parameters`}
            title="Run now with other parameters…"
            disabled={busy}
            onClick={() => actions.run(id, true)}
          >
            {'{…}'}
          </button>
          <IconButton
            icon={editIcon}
            label={`Change ${name}`}
            title="Change…"
            onClick={() => actions.edit(id)}
          />
          <IconButton
            icon={deleteIcon}
            label={`Delete ${name}`}
            title="Delete…"
            disabled={busy}
            onClick={() => actions.remove(id)}
          />
        </span>
      </div>
    </li>
  );
}

function IconButton(props: {
  icon: LabIcon;
  label: string;
  title: string;
  disabled?: boolean;
  onClick: () => void;
}): JSX.Element {
  const { icon: Icon, label, title, disabled, onClick } = props;
  return (
    <button
      type="button"
      className="jp-WfIconButton"
      aria-label={label}
      title={title}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon.react tag="span" width="16px" height="16px" />
    </button>
  );
}

/** The last runs, the newest at the right, each a mark that opens its run. */
function Marks(props: {
  runs: readonly RunJSON[];
  now: number;
  name: string;
  onOpen: (id: string) => void;
}): JSX.Element {
  const { runs, now, name, onOpen } = props;
  if (runs.length === 0) {
    return <span className="jp-WfDeployment-none">no runs yet</span>;
  }
  const shown = [...runs].slice(0, MARKS).reverse();
  return (
    <span className="jp-WfMarks" role="group" aria-label={`Last runs of ${name}, oldest first`}>
      {shown.map(run => (
        <Mark key={run.id} run={run} now={now} onOpen={onOpen} />
      ))}
    </span>
  );
}

function Mark(props: { run: RunJSON; now: number; onOpen: (id: string) => void }): JSX.Element {
  const { run, now, onOpen } = props;
  const at = run.ended_at ?? run.started_at ?? run.created_at;
  const state = plain(stateLabel(run.state));
  const why = run.error !== null ? errorLine(run.error) : plain(run.state.message ?? '');
  const host = React.useRef<HTMLSpanElement>(null);
  const icon = React.useRef<ReturnType<typeof drawStateIcon> | null>(null);
  React.useLayoutEffect(() => {
    if (icon.current === null) {
      icon.current = drawStateIcon();
      host.current?.append(icon.current.element);
    }
    icon.current.update(stateMark(run.state));
  });
  return (
    <button
      type="button"
      className="jp-WfMark"
      data-run-id={run.id}
      data-state={run.state.type}
      data-state-name={run.state.name}
      aria-label={`${state}, ${formatRelative(at, now)}`}
      title={[`${state}: ${plain(run.name)}`, why, formatMoment(at)].filter(Boolean).join('\n')}
      onClick={() => onOpen(run.id)}
    >
      <span ref={host} aria-hidden="true" />
    </button>
  );
}
