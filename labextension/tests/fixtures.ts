import type {
  AutomationJSON,
  DeliveryJSON,
  DeploymentDetailJSON,
  DeploymentJSON,
  LogJSON,
  NotebookFormJSON,
  PreviewJSON,
  RunJSON,
  ScheduleJSON,
  StreamJSON
} from '../src/api/schema';

/** A moment, `seconds` after noon. */
export const at = (seconds: number): string =>
  new Date(Date.UTC(2026, 0, 31, 12, 0, 0) + seconds * 1000).toISOString().replace('Z', '000Z');

/** A run with what a test cares about. */
export function aRun(
  id: string,
  changes: Partial<RunJSON> = {},
  type = 'RUNNING',
  when = 1
): RunJSON {
  return {
    id,
    kind: 'flow',
    name: `name-${id}`,
    flow_name: null,
    task_name: null,
    parent_id: null,
    root_id: id,
    attempt: 1,
    max_attempts: 1,
    state: { type, name: type[0] + type.slice(1).toLowerCase(), message: null, at: at(when) },
    parameters: {},
    tags: [],
    upstream: [],
    source: {},
    created_at: at(0),
    started_at: at(0),
    ended_at: ['COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED'].includes(type) ? at(when) : null,
    progress: null,
    error: null,
    can_retry: false,
    can_resume: false,
    ...changes
  };
}

/** A child of `parent`. */
export function aChild(
  id: string,
  parent: RunJSON,
  changes: Partial<RunJSON> = {},
  type = 'RUNNING'
): RunJSON {
  return aRun(
    id,
    { kind: 'task', parent_id: parent.id, root_id: parent.root_id, ...changes },
    type
  );
}

/** A schedule that fires each day at six. */
export function aSchedule(changes: Partial<ScheduleJSON> = {}): ScheduleJSON {
  return {
    id: 'schedule',
    slug: null,
    spec: { cron: '0 6 * * *', timezone: 'Europe/Oslo' },
    words: 'At 06:00',
    timezone: 'Europe/Oslo',
    parameters: {},
    active: true,
    start_at: null,
    end_at: null,
    max_runs: null,
    jitter: 0,
    next_slot: at(3600),
    next: [],
    made: 0,
    ...changes
  };
}

/** A deployment with its last runs. */
export function aDeployment(
  id: string,
  changes: Partial<DeploymentJSON> = {},
  last_runs: RunJSON[] = []
): DeploymentDetailJSON {
  return {
    deployment: {
      id,
      address: `quick/name-${id}`,
      name: `name-${id}`,
      flow_name: 'quick',
      kind: 'notebook',
      target: '/notebooks/quick.ipynb',
      path: 'quick.ipynb',
      parameters: {},
      pool: 'default',
      tags: [],
      description: '',
      priority: 0,
      kernel: null,
      policies: {},
      schedules: [aSchedule()],
      paused: false,
      paused_reason: null,
      failures: 0,
      next_slot: at(3600),
      created_at: at(0),
      updated_at: at(0),
      ...changes
    },
    last_runs
  };
}

/** A run that a deployment has made. */
export function aDeploymentsRun(id: string, deployment: string, type: string, when = 1): RunJSON {
  return aRun(id, { source: { deployment_id: deployment }, created_at: at(when) }, type, when);
}

/** An automation that shows a notification when a run fails. */
export function anAutomation(id: string, changes: Partial<AutomationJSON> = {}): AutomationJSON {
  return {
    id,
    name: `name-${id}`,
    description: '',
    enabled: true,
    when: ['FAILED'],
    after: null,
    filters: { deployments: [], flows: [], tags: [] },
    actions: [{ id: 'one', type: 'send-notification' }],
    created_at: at(0),
    updated_at: at(0),
    ...changes
  };
}

/** A delivery that has been given up. */
export function aDelivery(changes: Partial<DeliveryJSON> = {}): DeliveryJSON {
  return {
    id: 1,
    automation_id: 'a',
    trigger_id: null,
    action_id: 'one',
    event: 'state',
    run_id: 'r',
    state: 'failed',
    attempts: 3,
    created_at: at(0),
    next_at: at(0),
    done_at: at(1),
    error: 'it answered 500',
    outcome: null,
    ...changes
  };
}

/** What the server tells of a notebook with a year, a city and a token. */
export function aForm(changes: Partial<NotebookFormJSON> = {}): NotebookFormJSON {
  return {
    path: 'quick.ipynb',
    schema: {
      type: 'object',
      properties: {
        year: { type: 'integer', title: 'year' },
        city: { type: 'string', title: 'city' },
        token: { type: 'string', title: 'token', format: 'password', writeOnly: true }
      },
      required: []
    },
    defaults: { year: 2012, city: 'Oslo' },
    kernel: 'python3',
    kernels: [{ name: 'python3', display_name: 'Python 3' }],
    timezones: ['UTC', 'Europe/Oslo'],
    timezone: 'UTC',
    deployments: [],
    problems: [],
    ...changes
  };
}

export function aPreview(changes: Partial<PreviewJSON> = {}): PreviewJSON {
  return {
    ok: true,
    words: 'At 06:00',
    timezone: 'Europe/Oslo',
    next: ['2026-02-01T06:00:00+01:00', '2026-02-02T06:00:00+01:00'],
    errors: [],
    ...changes
  };
}

export function aLine(seq: number, runId: string, changes: Partial<LogJSON> = {}): LogJSON {
  return {
    seq,
    run_id: runId,
    at: at(seq),
    level: 20,
    logger: 'wf',
    message: `line ${seq}`,
    ...changes
  };
}

export function aMessage(
  seq: number,
  runs: RunJSON[] = [],
  events: StreamJSON['events'] = []
): StreamJSON {
  return { seq, events, runs };
}

/** That a run has entered a state, `when` seconds after noon. */
export function aStateEvent(
  seq: number,
  runId: string,
  type: string,
  when: number,
  changes: { name?: string; attempt?: number } = {}
): StreamJSON['events'][number] {
  const name = type[0] + type.slice(1).toLowerCase();
  const payload = { type, name, message: null, attempt: 1, ...changes };
  return { seq, at: at(when), run_id: runId, kind: 'state', payload };
}

export function aLogEvent(
  seq: number,
  runId: string,
  message: string,
  level = 20
): StreamJSON['events'][number] {
  return {
    seq,
    at: at(seq),
    run_id: runId,
    kind: 'log',
    payload: { level, logger: 'wf', message }
  };
}

/** Markup that must stay text wherever it is shown. */
export const MARKUP = '<img src=x onerror="window.broken=true"><b>bold</b>';

/** Let everything that waits for answers go on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) {
    await Promise.resolve();
  }
}
