// Generated from jupyter_wf/core/codec.py and its siblings by `python -m jupyter_wf.server.typescript`. Do not edit.

/** An agent. */
export interface AgentJSON {
  id: string;
  name: string;
  pools: string[];
  limit: number;
  pid: number;
  host: string;
  started_at: string;
  seen_at: string;
  status: string;
  alive: boolean;
  running: number;
}

/** The agents that are alive, and those that were within the last day. */
export interface AgentPageJSON {
  items: AgentJSON[];
}

/** Whose occasions count; names may hold ``*`` and ``?``. */
export interface AutomationFiltersJSON {
  deployments?: string[];
  flows?: string[];
  tags?: string[];
}

/** An automation. An action is an object with ``id``, ``type`` and its options. */
export interface AutomationJSON {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
  when: string[];
  after: number | null;
  filters: AutomationFiltersJSON;
  actions: Record<string, unknown>[];
  created_at: string;
  updated_at: string;
}

/** All automations, by name. */
export interface AutomationPageJSON {
  items: AutomationJSON[];
}

/** What came of testing an automation. */
export interface AutomationTestJSON {
  ok: boolean;
  actions: TestedActionJSON[];
}

/** What is wrong with a form that was only to be checked; nothing where the list is empty. */
export interface CheckedFormJSON {
  errors: FieldErrorJSON[];
}

/** The body of ``POST runs/{id}/notebook/copy``: the executed notebook, or the snapshot of what was run. */
export interface CopyNotebookJSON {
  what?: 'executed' | 'snapshot';
}

/** Something that an automation or a trigger had, or has yet, to do; ``state`` is waiting, sent or failed. */
export interface DeliveryJSON {
  id: number;
  automation_id: string | null;
  trigger_id: string | null;
  action_id: string;
  event: string;
  run_id: string | null;
  state: string;
  attempts: number;
  created_at: string;
  next_at: string;
  done_at: string | null;
  error: string | null;
  outcome: string | null;
}

/** Deliveries, newest first. */
export interface DeliveryPageJSON {
  items: DeliveryJSON[];
}

/** A deployment with its last runs, newest first. */
export interface DeploymentDetailJSON {
  deployment: DeploymentJSON;
  last_runs: RunJSON[];
}

/** A deployment. ``path`` is where the notebook is for the front end, null where it is outside the server's root. */
export interface DeploymentJSON {
  id: string;
  address: string;
  name: string;
  flow_name: string;
  kind: 'notebook' | 'flow';
  target: string;
  path: string | null;
  parameters: Record<string, unknown>;
  pool: string;
  tags: string[];
  description: string;
  priority: number;
  kernel: string | null;
  policies: PoliciesJSON;
  schedules: ScheduleJSON[];
  paused: boolean;
  paused_reason: string | null;
  failures: number;
  next_slot: string | null;
  created_at: string;
  updated_at: string;
}

/** All deployments, by address; ``agents``: how many agents are there to run them, ``scheduler``: whether one is. */
export interface DeploymentPageJSON {
  items: DeploymentDetailJSON[];
  agents: number;
  scheduler: boolean;
}

/** What a run's kernel had installed: the Python, its platform, and the version of each package. */
export interface EnvironmentJSON {
  python: string;
  implementation: string;
  platform: string;
  executable: string;
  packages: Record<string, string>;
}

/** Every refusal: the error's class name and its text. */
export interface ErrorJSON {
  error: string;
  message: string;
}

/** One event of the stream; ``kind`` is run, state, log, patch, request or artifact. */
export interface EventJSON {
  seq: number;
  at: string;
  run_id: string;
  kind: string;
  payload: Record<string, unknown>;
}

/** An event trigger; ``secret`` and ``path`` (of the address to call) only in the answer to its making. */
export interface EventTriggerJSON {
  id: string;
  deployment_id: string;
  kind: string;
  spec: Record<string, unknown>;
  enabled: boolean;
  created_at: string;
  fired_at: string | null;
  error: string | null;
  secret: string | null;
  path: string | null;
}

/** The event triggers of a deployment, oldest first. */
export interface EventTriggerPageJSON {
  items: EventTriggerJSON[];
}

/** What is wrong with one field, named as in what was sent (``cron``, ``timezone``, ``parameters.n``). */
export interface FieldErrorJSON {
  field: string;
  message: string;
}

/** A log line; ``level`` as in Python's logging (20 is INFO). */
export interface LogJSON {
  seq: number;
  run_id: string;
  at: string;
  level: number;
  logger: string;
  message: string;
}

/** Log lines in the order of their ``seq``; ``next_after`` continues as ``?after=``. */
export interface LogPageJSON {
  items: LogJSON[];
  next_after: number;
}

/** What the server is: versions, the state file, the number of the newest event. */
export interface MetaJSON {
  version: string;
  api: number;
  database: string;
  sqlite: string;
  seq: number;
}

/** The answer to ``POST runs/{id}/notebook/copy``: the copy's contents path, to be opened in the front end. */
export interface NotebookCopyJSON {
  path: string;
}

/** What a form for a notebook needs: its parameters as a JSON Schema, kernels, zones, and warnings. */
export interface NotebookFormJSON {
  path: string;
  schema: Record<string, unknown>;
  defaults: Record<string, unknown>;
  kernel: string | null;
  kernels: Record<string, string>[];
  timezones: string[];
  timezone: string;
  deployments: string[];
  problems: string[];
}

/** A message for who looks at JupyterLab; ``level`` is info, success, warning or error. */
export interface NotificationJSON {
  id: number;
  at: string;
  title: string;
  message: string;
  level: string;
  run_id: string | null;
  deployment_id: string | null;
}

/** Messages, oldest first; ``next_after`` continues as ``?after=``. */
export interface NotificationPageJSON {
  items: NotificationJSON[];
  next_after: number;
}

/** Why a deployment is paused. */
export interface PauseJSON {
  reason?: string;
}

/** How the runs of a deployment are made and kept; what is left out has its default. */
export interface PoliciesJSON {
  missed?: 'skip' | 'latest' | 'all';
  missed_limit?: number;
  grace?: number;
  overlap?: 'allow' | 'skip' | 'queue' | 'cancel_running';
  concurrency_limit?: number | null;
  retries?: number;
  retry_delay?: number;
  timeout?: number | null;
  on_crash?: 'fail' | 'resume';
  keep_last?: number | null;
  keep_days?: number | null;
  max_consecutive_failures?: number | null;
  deadline?: number | null;
  deadline_factor?: number | null;
  snapshot?: 'current' | 'pinned';
  output?: string | null;
  formats?: string[];
}

/** A work pool. */
export interface PoolJSON {
  name: string;
  limit: number | null;
  paused: boolean;
  description: string;
  waiting: number;
  running: number;
}

/** All work pools, by name. */
export interface PoolPageJSON {
  items: PoolJSON[];
}

/** The answer: the schedule in words and its next times (ISO with the zone's offset), or what is wrong with it. */
export interface PreviewJSON {
  ok: boolean;
  words: string;
  timezone: string;
  next: string[];
  errors: FieldErrorJSON[];
}

/** Asks when a schedule would fire: ``spec`` as in `ScheduleJSON`, and what bounds it. */
export interface PreviewRequestJSON {
  spec?: Record<string, unknown>;
  start_at?: string | null;
  end_at?: string | null;
  count?: number;
}

/** How far the children of a run are; ``counts`` maps state types to numbers. */
export interface ProgressJSON {
  total: number;
  done: number;
  counts: Record<string, number>;
}

/** A refusal (422) of what was sent, by its fields; ``message`` says them all. */
export interface RefusedFormJSON {
  error: string;
  message: string;
  errors: FieldErrorJSON[];
}

/** A request to a run's owner; ``kind`` is cancel, retry, pause or resume. */
export interface RequestJSON {
  id: number;
  run_id: string;
  kind: string;
  created_at: string;
  outcome: string | null;
}

/** The body of ``POST runs/{id}/rerun``: changed parameters, and the task to begin from. */
export interface RerunJSON {
  parameters?: Record<string, unknown>;
  from?: string;
}

/** What a run returned: the value itself where ``is_json``, else its type and ``repr`` as far as they are known. */
export interface ResultJSON {
  is_json: boolean;
  value: unknown;
  type: string | null;
  repr: string | null;
  size: number;
}

/** The body of ``POST runs/{id}/resume`` and ``…/repair``: parameters that are to have other values. */
export interface ResumeJSON {
  parameters?: Record<string, unknown>;
}

/** Why a run did not complete. */
export interface RunErrorJSON {
  type: string;
  message: string;
  traceback: string;
}

/** A run. */
export interface RunJSON {
  id: string;
  kind: string;
  name: string;
  flow_name: string | null;
  task_name: string | null;
  parent_id: string | null;
  root_id: string;
  attempt: number;
  max_attempts: number;
  state: StateJSON;
  parameters: Record<string, unknown>;
  tags: string[];
  upstream: string[];
  source: Record<string, unknown>;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  progress: ProgressJSON | null;
  error: RunErrorJSON | null;
  can_retry: boolean;
  can_resume: boolean;
}

/** A page of runs; ``next`` continues the list as ``?cursor=``, null at its end. */
export interface RunPageJSON {
  items: RunJSON[];
  next: string | null;
}

/** An automation as it is given; a new one needs ``name``, ``when`` and ``actions``. */
export interface SaveAutomationJSON {
  name?: string;
  description?: string;
  enabled?: boolean;
  when?: string[];
  after?: number | string | null;
  filters?: AutomationFiltersJSON;
  actions?: Record<string, unknown>[];
}

/** A deployment as it is given. A new one needs ``name`` and ``path`` (below the server's root). */
export interface SaveDeploymentJSON {
  name?: string;
  path?: string;
  parameters?: Record<string, unknown>;
  pool?: string;
  tags?: string[];
  description?: string;
  priority?: number;
  kernel?: string | null;
  policies?: PoliciesJSON;
  schedules?: SaveScheduleJSON[];
  paused?: boolean;
}

/** An event trigger as it is given: a new one by ``kind`` and ``spec``, a change by ``enabled`` alone. */
export interface SaveEventTriggerJSON {
  kind?: string;
  spec?: Record<string, unknown>;
  enabled?: boolean;
}

/** A work pool as it is given; what is left out has its default. */
export interface SavePoolJSON {
  limit?: number | null;
  paused?: boolean;
  description?: string;
}

/** A schedule as it is given; ``id`` or ``slug`` names one that is there. Times without offset are in its zone. */
export interface SaveScheduleJSON {
  id?: string;
  slug?: string | null;
  spec?: Record<string, unknown>;
  parameters?: Record<string, unknown>;
  active?: boolean;
  start_at?: string | null;
  end_at?: string | null;
  max_runs?: number | null;
  jitter?: number;
}

/** A schedule; ``words`` says ``spec`` in English, ``next`` are its next five times in its zone. */
export interface ScheduleJSON {
  id: string;
  slug: string | null;
  spec: Record<string, unknown>;
  words: string;
  timezone: string;
  parameters: Record<string, unknown>;
  active: boolean;
  start_at: string | null;
  end_at: string | null;
  max_runs: number | null;
  jitter: number;
  next_slot: string | null;
  next: string[];
  made: number;
}

/** The body of ``POST runs``: a notebook's path below the server's root, and its parameters. */
export interface StartRunJSON {
  notebook?: string;
  parameters?: Record<string, unknown>;
}

/** A state. ``at`` is ISO 8601 in UTC with microseconds and a ``Z``. */
export interface StateJSON {
  type: string;
  name: string;
  message: string | null;
  at: string;
}

/** One message of the WebSocket: events, and the runs they are about as they are now. */
export interface StreamJSON {
  seq: number;
  events: EventJSON[];
  runs: RunJSON[];
}

/** What came of testing one action. */
export interface TestedActionJSON {
  id: string;
  type: string;
  ok: boolean;
  message: string;
}

/** Asks for a run of a deployment now; ``parameters`` go over the deployment's. */
export interface TriggerRunJSON {
  parameters?: Record<string, unknown>;
}
