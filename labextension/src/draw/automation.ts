import type { AutomationJSON, DeliveryJSON } from '../api/schema';
import { plain } from './text';
import { formatDuration } from './time';

/** What a run does that enters a state. */
const VERBS: Readonly<Record<string, string>> = {
  SCHEDULED: 'is scheduled',
  PENDING: 'is about to start',
  RUNNING: 'starts',
  COMPLETED: 'completes',
  FAILED: 'fails',
  CRASHED: 'crashes',
  CANCELLING: 'is being cancelled',
  CANCELLED: 'is cancelled',
  PAUSED: 'pauses',
  DEADLINE: 'misses its deadline'
};

const either = (words: readonly string[]): string => words.map(plain).join(' or ');

/** When an automation acts and what it does, in one line. */
export function automationWords(automation: AutomationJSON): string {
  const does = automation.actions.map(actionWords).join('; ');
  return `When ${whenWords(automation)}: ${does}`;
}

function whenWords({ when, after, filters }: AutomationJSON): string {
  const { deployments = [], flows = [], tags = [] } = filters;
  const of = [
    ...(deployments.length > 0 ? [either(deployments)] : []),
    ...(flows.length > 0 ? [`flow ${either(flows)}`] : [])
  ].join(', ');
  const tagged = tags.length > 0 ? ` tagged ${either(tags)}` : '';
  const whose = (of === '' ? '' : ` of ${of}`) + tagged;
  const verbs: string[] = [];
  const others: string[] = [];
  for (const word of when) {
    if (word === 'deployment-paused') {
      others.push(`a deployment${of === '' ? '' : ` (${of})`}${tagged} is paused`);
    } else if (word === 'no-success') {
      others.push(`no run${whose} completes for ${formatDuration((after ?? 0) * 1000)}`);
    } else {
      verbs.push(VERBS[word.toUpperCase()] ?? `becomes ${plain(word)}`);
    }
  }
  return [...(verbs.length > 0 ? [`a run${whose} ${verbs.join(' or ')}`] : []), ...others].join(
    ', or '
  );
}

/** What an action does; the server has masked what is secret of it. */
export function actionWords(action: Readonly<Record<string, unknown>>): string {
  const { type, url, deployment } = action;
  switch (type) {
    case 'send-notification':
      return 'notify in JupyterLab';
    case 'send-message':
      return `send a message to ${named(url)}`;
    case 'call-webhook':
      return `call ${named(url)}`;
    case 'run-deployment':
      return `run ${named(deployment)}`;
    case 'pause-deployment':
      return `pause ${deployment === undefined ? 'the deployment' : named(deployment)}`;
    case 'cancel-flow-run':
      return 'cancel the run';
    default:
      return named(type);
  }
}

const named = (value: unknown): string => (typeof value === 'string' ? plain(value) : '?');

/** What is wrong with a delivery that did not work, and whether another try follows. */
export function troubleWords(delivery: DeliveryJSON): string {
  const why = plain(delivery.error ?? 'no reason is known');
  return delivery.state === 'waiting'
    ? `Not delivered yet, tried ${delivery.attempts === 1 ? 'once' : `${delivery.attempts} times`}: ${why}`
    : `The last delivery failed: ${why}`;
}
