import * as React from 'react';
import type { DeploymentsView } from '../model/deployments';
import { type DeploymentActions, DeploymentRow } from './DeploymentRow';
import { Problem } from './Notices';
import { useNow } from './useNow';

const MINUTE = 60_000;

/** How often the times are painted anew: each second where a run is near. */
function tickOf(view: DeploymentsView, now: number): number {
  const near = view.items.some(({ deployment }) => {
    const at = deployment.next_slot === null ? Infinity : Date.parse(deployment.next_slot);
    return !deployment.paused && at - now < 2 * MINUTE;
  });
  return near ? 1000 : 20_000;
}

/** The section "Scheduled" of the panel: it can be folded. */
export function DeploymentList(props: {
  view: DeploymentsView;
  actions: DeploymentActions;
  /** Open the form for the notebook in front, or null where the panel should not offer it. */
  onSchedule: (() => void) | null;
  onDismiss: () => void;
}): JSX.Element {
  const { view, actions, onSchedule, onDismiss } = props;
  const now = useNow(tickOf(view, Date.now()));
  const { items, phase } = view;
  const unwatched = phase === 'ready' && items.length > 0 ? missing(view) : null;
  return (
    <details className="jp-WfScheduled" open data-phase={phase}>
      <summary>
        <h3>Scheduled</h3>
        {items.length > 0 && <span className="jp-WfScheduled-count">{items.length}</span>}
      </summary>
      <Problem text={view.problem} onDismiss={onDismiss} />
      {unwatched !== null && (
        <p className="jp-WfScheduled-warning" role="status">
          {unwatched}
        </p>
      )}
      {phase === 'ready' && items.length === 0 && <NoDeployments onSchedule={onSchedule} />}
      {items.length > 0 && (
        <ul className="jp-WfScheduled-list" aria-label="Scheduled notebooks and flows">
          {items.map(item => (
            <DeploymentRow
              key={item.deployment.id}
              item={item}
              now={now}
              busy={view.busy.has(item.deployment.id)}
              actions={actions}
            />
          ))}
        </ul>
      )}
    </details>
  );
}

function NoDeployments(props: { onSchedule: (() => void) | null }): JSX.Element {
  const { onSchedule } = props;
  return (
    <p className="jp-WfScheduled-none">
      No scheduled notebooks:{' '}
      {onSchedule === null ? (
        'open a notebook and press “Schedule Notebook…” in its toolbar.'
      ) : (
        <button type="button" className="jp-WfLink" onClick={onSchedule}>
          schedule the open notebook…
        </button>
      )}
    </p>
  );
}

/** What is missing for schedules to be kept, null where nothing is. */
function missing(view: DeploymentsView): string | null {
  if (!view.scheduler && view.agents === 0) {
    return 'Nothing runs on schedule now: there is neither a scheduler nor an agent.';
  }
  if (!view.scheduler) {
    return 'Nothing runs on schedule now: there is no scheduler.';
  }
  return view.agents === 0
    ? 'Runs wait: there is no agent to execute them (“jupyter wf agent start” starts one).'
    : null;
}
