import type { LogJSON, RunJSON } from '../src/api/schema';
import type { ChangedJSON, LineJSON, MadeJSON, TreeJSON } from '../src/api/tree';
import { aRun, at } from './fixtures';

const ms = (time: string): number => Date.parse(time);

/** How a run is now, as a message has it. */
export function changedJSON(
  index: number,
  run: RunJSON,
  lastLog: string | null = null
): ChangedJSON {
  const { type, name, message } = run.state;
  const ended = run.ended_at === null ? null : ms(run.ended_at);
  const spans =
    run.started_at === null
      ? ['wait', run.attempt, ms(run.created_at), ended]
      : ['run', run.attempt, ms(run.started_at), ended];
  return [index, type, name, run.attempt, spans, message, lastLog, run.error, run.progress, null];
}

/** That a run was made below the one with the number `parent`. */
export function madeJSON(index: number, run: RunJSON, parent = -1): MadeJSON {
  return [
    index,
    run.id,
    parent,
    run.name,
    run.kind,
    run.task_name,
    ms(run.created_at),
    run.max_attempts,
    run.upstream
  ];
}

/** A whole tree of the runs below `root`, parents first. */
export function treeJSON(
  root: RunJSON,
  runs: readonly RunJSON[] = [],
  lines: readonly LogJSON[] = [],
  seq = 1
): TreeJSON {
  const places = new Map([[root.id, -1]]);
  const made: MadeJSON[] = [];
  const changed = [changedJSON(-1, root)];
  for (const run of runs) {
    const parent = places.get(run.parent_id ?? '');
    if (parent !== undefined && !places.has(run.id)) {
      const index = made.length;
      places.set(run.id, index);
      made.push(madeJSON(index, run, parent));
      changed.push(changedJSON(index, run));
    }
  }
  const ended = root.ended_at !== null;
  return aTree({
    seq,
    run: root,
    live: !ended,
    progress: root.progress ?? { total: made.length, done: 0, counts: {} },
    made,
    changed,
    lines: lines
      .filter(line => places.has(line.run_id))
      .map(line => [line.seq, ms(line.at), places.get(line.run_id)!, line.level, line.message])
  });
}

/** A message with what a test cares about. */
export function aTree(changes: Partial<TreeJSON> = {}): TreeJSON {
  return {
    seq: 1,
    reset: true,
    now: at(5),
    run: aRun('root'),
    live: true,
    can_retry: false,
    last_log: null,
    progress: { total: 0, done: 0, counts: {} },
    stale: null,
    made: [],
    changed: [],
    lines: [],
    dropped: 0,
    more: 0,
    earlier: null,
    ...changes
  };
}

/** A log line of a message. */
export function lineJSON(key: number, index: number, message: string, level = 20): LineJSON {
  return [key, ms(at(key)), index, level, message];
}

/** A running flow with `count` tasks of `names` names, in turns. */
export function bigTree(count: number, names = 10): TreeJSON {
  const root = aRun('root', { progress: { total: count, done: 0, counts: { RUNNING: count } } });
  const runs = Array.from({ length: count }, (_, index) =>
    aRun(`r${index}`, {
      kind: 'task',
      parent_id: 'root',
      root_id: 'root',
      name: `step${index % names}-${index}`,
      task_name: `step${index % names}`
    })
  );
  return treeJSON(root, runs);
}
