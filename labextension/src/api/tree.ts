// The JSON of jupyter_wf/core/tree_json.py, which says how it is meant.
import type { ProgressJSON, RunErrorJSON, RunJSON } from './schema';

/**
 * A run made below the root: its number, id, the number of its parent (-1 is the root), name, kind, the task's name,
 * when (ms since the epoch), how often it may be tried, and the ids of the runs whose values it has got.
 */
export type MadeJSON = [
  index: number,
  id: string,
  parent: number,
  name: string,
  kind: string,
  taskName: string | null,
  createdAt: number,
  maxAttempts: number,
  upstream: string[]
];

/** `[kind, attempt, from, to, kind, …]`: "wait", "run" or "pause"; ms since the epoch, null while it goes on. */
export type SpansJSON = (string | number | null)[];

/** How a run is now, as a whole; the number -1 is the root. */
export type ChangedJSON = [
  index: number,
  type: string,
  name: string,
  attempt: number,
  spans: SpansJSON,
  message: string | null,
  lastLog: string | null,
  error: RunErrorJSON | null,
  progress: ProgressJSON | null,
  stale: string | null
];

/** A log line: a number that grows, when (ms since the epoch), the number of its run, the level, the text. */
export type LineJSON = [key: number, at: number, index: number, level: number, message: string];

/** The runs that a view has shown before this one; `counts` maps names of states to numbers. */
export interface EarlierJSON {
  total: number;
  counts: Record<string, number>;
}

/** A run and everything below it (`reset`), or what has changed there since the message with the number before. */
export interface TreeJSON {
  seq: number;
  reset: boolean;
  /** The sender's clock. */
  now: string;
  run: RunJSON;
  live: boolean;
  can_retry: boolean;
  last_log: string | null;
  progress: ProgressJSON;
  stale: string | null;
  made: MadeJSON[];
  changed: ChangedJSON[];
  lines: LineJSON[];
  /** How many lines before these are not here. */
  dropped: number;
  /** How many runs there are below the root that have no row. */
  more: number;
  earlier: EarlierJSON | null;
}
