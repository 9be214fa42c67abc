import type { LogJSON, RunJSON, StreamJSON } from '../src/api/schema';

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
