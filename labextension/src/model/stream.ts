import type { EventJSON, RunJSON, StreamJSON } from '../api/schema';
import type { LogLine } from './logBuffer';
import { enter } from './spans';
import { hasEnded, oldestFirst } from './table';
import { rootFacts, type TreeModel } from './treeModel';
import type { Span, TreeRow } from './treeRows';

/** Which runs belong below `rootId`: those whose chain of parents, as far as it is known, leads there. */
export function belonging(
  rootId: string,
  known: ReadonlyMap<string, unknown>,
  candidates: readonly RunJSON[]
): RunJSON[] {
  const accepted = new Set<string>();
  const isIn = (id: string | null): boolean =>
    id !== null && (id === rootId || known.has(id) || accepted.has(id));
  // A parent is never younger than its child, so one pass in the order of birth finds whole chains.
  return [...candidates].sort(oldestFirst).filter(run => {
    const inside = run.id === rootId || known.has(run.id) || isIn(run.parent_id);
    if (inside) {
      accepted.add(run.id);
    }
    return inside;
  });
}

/** A flow run's own name says nothing without its flow's; the server's trees name rows by the same rule. */
function rowName(run: RunJSON): string {
  const flow = run.kind === 'flow' ? run.flow_name : null;
  return flow !== null && flow !== run.name ? `${flow} · ${run.name}` : run.name;
}

/**
 * Take a message of the server's stream into a tree that was read before: runs as they are now, the states that they
 * have entered (which make their spans), and log lines. Returns whether anything of it belonged to the tree.
 */
export function takeStream(model: TreeModel, message: StreamJSON): boolean {
  const { tree } = model;
  if (tree === null) {
    return false;
  }
  const rootId = tree.root.id;
  const runs = belonging(rootId, tree.byId, message.runs);
  const changed = new Map<string, TreeRow>();
  const row = (id: string): TreeRow | undefined => changed.get(id) ?? tree.byId.get(id);
  for (const run of runs) {
    const known = row(run.id);
    changed.set(run.id, {
      ...(known ?? { lastLog: null, stale: null, spans: begin(run) }),
      ...rootFacts(run),
      parentId: run.id === rootId ? null : run.parent_id,
      name: run.id === rootId ? run.name : rowName(run),
      progress: run.progress,
      spans: known?.spans ?? begin(run)
    });
  }
  const lines: LogLine[] = [];
  for (const event of message.events) {
    const about = row(event.run_id);
    if (about === undefined) {
      continue;
    }
    const at = Date.parse(event.at);
    const line = lineOf(event, at);
    if (line !== null) {
      lines.push(line);
      changed.set(about.id, { ...about, lastLog: line.message });
    } else if (event.kind === 'state') {
      const { type, name, attempt } = event.payload;
      if (typeof type === 'string' && typeof name === 'string' && typeof attempt === 'number') {
        changed.set(about.id, { ...about, spans: enter(about.spans, { type, name }, attempt, at) });
      }
    }
  }
  model.logs.add(lines);
  if (changed.size === 0) {
    return false;
  }
  for (const [id, each] of changed) {
    if (id !== rootId) {
      model.put(each);
    }
  }
  const run = runs.find(each => each.id === rootId);
  if (run !== undefined) {
    model.setRun(run, !hasEnded(run) && run.state.name !== 'Suspended');
  }
  model.setRoot(changed.get(rootId) ?? tree.root);
  return true;
}

/** The first span of a run: it waits from its creation on. */
function begin(run: RunJSON): readonly Span[] {
  return [{ kind: 'wait', attempt: 1, from: Date.parse(run.created_at), to: null }];
}

/** The log line that an event of the stream carries, or null if it is of another kind. */
export function lineOf(event: EventJSON, at = Date.parse(event.at)): LogLine | null {
  if (event.kind !== 'log') {
    return null;
  }
  const { level, message } = event.payload;
  return {
    key: event.seq,
    runId: event.run_id,
    at,
    level: typeof level === 'number' ? level : 20,
    message: typeof message === 'string' ? message : ''
  };
}
