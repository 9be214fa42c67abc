import type { RunJSON } from '../api/schema';

/**
 * Runs by id, and which of them were asked to stop. An immutable value: the functions below return a new one.
 *
 * Runs arrive by two roads (REST answers and the stream) that may overtake each other, so `upsert` keeps the newer
 * picture of each run whatever the order of arrival.
 */
export interface RunTable {
  readonly runs: ReadonlyMap<string, RunJSON>;
  /** Run id → the attempt whose cancellation the server accepted. */
  readonly cancelling: ReadonlyMap<string, number>;
}

export const EMPTY_TABLE: RunTable = { runs: new Map(), cancelling: new Map() };

const TERMINAL: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED']);

/** Whether nothing more will happen in this attempt. */
export function hasEnded(run: RunJSON): boolean {
  return TERMINAL.has(run.state.type) || run.state.name === 'NotReady';
}

/** Whether `next` is an older picture of the same run than `known`. */
export function isStale(known: RunJSON, next: RunJSON): boolean {
  if (next.attempt !== known.attempt) {
    return next.attempt < known.attempt;
  }
  // The times are ISO texts in UTC with microseconds: they compare as texts.
  if (next.state.at !== known.state.at) {
    return next.state.at < known.state.at;
  }
  return (next.progress?.done ?? 0) < (known.progress?.done ?? 0);
}

/** Put runs into the table; older pictures of known runs are left out. The same table comes back if nothing is new. */
export function upsert(table: RunTable, runs: readonly RunJSON[]): RunTable {
  const fresh = runs.filter(run => {
    const known = table.runs.get(run.id);
    return known === undefined || !isStale(known, run);
  });
  if (fresh.length === 0) {
    return table;
  }
  const next = new Map(table.runs);
  const cancelling = new Map(table.cancelling);
  for (const run of fresh) {
    const known = next.get(run.id);
    if (known === undefined || !isStale(known, run)) {
      next.set(run.id, run);
    }
    const attempt = cancelling.get(run.id);
    if (attempt !== undefined && (hasEnded(run) || run.attempt > attempt)) {
      cancelling.delete(run.id);
    }
  }
  return { runs: next, cancelling };
}

/** The server accepted a request to cancel: the run is shown so before its owner has answered. */
export function cancelAccepted(table: RunTable, id: string): RunTable {
  const run = table.runs.get(id);
  if (run === undefined || hasEnded(run)) {
    return table;
  }
  return { ...table, cancelling: new Map(table.cancelling).set(id, run.attempt) };
}

/** A run as it is to be shown: CANCELLING from the moment its cancellation was accepted. */
export function shown(table: RunTable, run: RunJSON): RunJSON {
  if (!table.cancelling.has(run.id) || run.state.type === 'CANCELLING') {
    return run;
  }
  return { ...run, state: { ...run.state, type: 'CANCELLING', name: 'Cancelling', message: null } };
}

/** Newest first; the id settles ties, as on the server. */
export function newestFirst(a: RunJSON, b: RunJSON): number {
  return compare(b.created_at, a.created_at) || compare(b.id, a.id);
}

/** Oldest first. */
export function oldestFirst(a: RunJSON, b: RunJSON): number {
  return newestFirst(b, a);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
