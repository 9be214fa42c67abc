// Generated from jupyter_wf/core/codec.py by `python -m jupyter_wf.server.typescript`. Do not edit.

/** The body of ``POST runs/{id}/notebook/copy``: the executed notebook, or the snapshot of what was run. */
export interface CopyNotebookJSON {
  what?: 'executed' | 'snapshot';
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

/** How far the children of a run are; ``counts`` maps state types to numbers. */
export interface ProgressJSON {
  total: number;
  done: number;
  counts: Record<string, number>;
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
