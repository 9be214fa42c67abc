import type { EventJSON, LogJSON } from '../api/schema';

/** How many log lines of a run the browser keeps. */
export const LOG_LIMIT = 10_000;

/** Log lines in the order of their `seq`; `dropped` says that older ones are not here. An immutable value. */
export interface LogBook {
  readonly lines: readonly LogJSON[];
  readonly dropped: boolean;
}

export const EMPTY_LOGS: LogBook = { lines: [], dropped: false };

/** Add lines, in any order and with repeats; the oldest go when there are more than `limit`. */
export function addLines(book: LogBook, more: readonly LogJSON[], limit = LOG_LIMIT): LogBook {
  const last = book.lines.length > 0 ? book.lines[book.lines.length - 1].seq : -1;
  if (more.length === 0) {
    return book;
  }
  let lines: LogJSON[];
  if (more.every((line, index) => line.seq > (index === 0 ? last : more[index - 1].seq))) {
    lines = [...book.lines, ...more];
  } else {
    const bySeq = new Map([...book.lines, ...more].map(line => [line.seq, line]));
    lines = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
  }
  const excess = Math.max(0, lines.length - limit);
  return { lines: excess > 0 ? lines.slice(excess) : lines, dropped: book.dropped || excess > 0 };
}

/** The log line that an event of the stream carries, or null if it is of another kind. */
export function lineOf(event: EventJSON): LogJSON | null {
  if (event.kind !== 'log') {
    return null;
  }
  const { level, logger, message } = event.payload;
  return {
    seq: event.seq,
    run_id: event.run_id,
    at: event.at,
    level: typeof level === 'number' ? level : 20,
    logger: typeof logger === 'string' ? logger : '',
    message: typeof message === 'string' ? message : ''
  };
}
