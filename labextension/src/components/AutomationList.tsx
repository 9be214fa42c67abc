import { closeIcon, deleteIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { AutomationJSON } from '../api/schema';
import { actionWords, automationWords, troubleWords } from '../draw/automation';
import { plain } from '../draw/text';
import type { AutomationItem, AutomationsView, Tested } from '../model/automations';
import { Problem } from './Notices';
import { Switch } from './Switch';

/** What can be done with an automation. */
export interface AutomationActions {
  setEnabled: (id: string, enabled: boolean) => void;
  test: (id: string) => void;
  dismissTest: (id: string) => void;
  remove: (id: string) => void;
}

/** The section "Automations" of the panel: it can be folded, and is there only where there are any. */
export function AutomationList(props: {
  view: AutomationsView;
  actions: AutomationActions;
  onDismiss: () => void;
}): JSX.Element | null {
  const { view, actions, onDismiss } = props;
  if (view.items.length === 0) {
    return null;
  }
  return (
    <details className="jp-WfScheduled jp-WfAutomations" open>
      <summary>
        <h3>Automations</h3>
        <span className="jp-WfScheduled-count">{view.items.length}</span>
      </summary>
      <Problem text={view.problem} onDismiss={onDismiss} />
      <ul className="jp-WfScheduled-list" aria-label="Automations">
        {view.items.map(item => (
          <AutomationRow
            key={item.automation.id}
            item={item}
            busy={view.busy.has(item.automation.id)}
            testing={view.testing.has(item.automation.id)}
            tested={view.tested.get(item.automation.id) ?? null}
            actions={actions}
          />
        ))}
      </ul>
    </details>
  );
}

function AutomationRow(props: {
  item: AutomationItem;
  busy: boolean;
  testing: boolean;
  tested: Tested | null;
  actions: AutomationActions;
}): JSX.Element {
  const { item, busy, testing, tested, actions } = props;
  const { automation, trouble } = item;
  const { id, enabled } = automation;
  const name = plain(automation.name);
  const words = automationWords(automation);
  return (
    <li
      className="jp-WfDeployment jp-WfAutomation"
      data-name={automation.name}
      data-enabled={enabled}
      aria-label={name}
    >
      <div className="jp-WfDeployment-line">
        <span className="jp-WfDeployment-name" title={plain(automation.description) || undefined}>
          {name}
        </span>
        <Switch
          on={enabled}
          busy={busy}
          label={`${name}: acts`}
          title={enabled ? 'Switch it off: nothing follows any more' : 'Switch it on'}
          onChange={on => actions.setEnabled(id, on)}
        />
      </div>
      <div className="jp-WfDeployment-line jp-WfDeployment-when">
        <span className="jp-WfDeployment-words" title={words}>
          {words}
        </span>
      </div>
      {trouble !== null && <p className="jp-WfAutomation-trouble">{troubleWords(trouble)}</p>}
      <div role="status">
        {tested !== null && (
          <TestOutcome
            automation={automation}
            tested={tested}
            onDismiss={() => actions.dismissTest(id)}
          />
        )}
      </div>
      <div className="jp-WfDeployment-line">
        <span className="jp-WfDeployment-actions">
          <button
            type="button"
            className="wf-Button"
            aria-label={`Test ${name}`}
            aria-busy={testing}
            title="Send its messages once; of the rest is said what it would do"
            disabled={testing || busy}
            onClick={() => actions.test(id)}
          >
            {testing ? 'Testing…' : 'Test'}
          </button>
          <button
            type="button"
            className="jp-WfIconButton"
            aria-label={`Delete ${name}`}
            title="Delete…"
            disabled={busy}
            onClick={() => actions.remove(id)}
          >
            <deleteIcon.react tag="span" width="16px" height="16px" />
          </button>
        </span>
      </div>
    </li>
  );
}

/** What came of each action, or why there was no test. */
function TestOutcome(props: {
  automation: AutomationJSON;
  tested: Tested;
  onDismiss: () => void;
}): JSX.Element {
  const { automation, tested, onDismiss } = props;
  const wordsOf = (id: string, type: string): string =>
    actionWords(automation.actions.find(each => each.id === id) ?? { type });
  return (
    <div className="jp-WfTested">
      <div className="jp-WfTested-text">
        {tested.problem !== null && <p>The test could not be made: {plain(tested.problem)}</p>}
        <ul>
          {tested.actions.map(({ id, type, ok, message }) => (
            <li key={id} data-ok={ok}>
              <strong>{ok ? 'Worked' : 'Failed'}</strong>: {wordsOf(id, type)} – {plain(message)}
            </li>
          ))}
        </ul>
      </div>
      <button
        type="button"
        className="jp-WfIconButton"
        aria-label="Dismiss what came of the test"
        title="Dismiss"
        onClick={onDismiss}
      >
        <closeIcon.react tag="span" width="16px" height="16px" />
      </button>
    </div>
  );
}
