import { type Entry, entryProgress, entryStateText, entryTimes, entryTitle } from './groups';
import { isClosed } from './states';
import { formatDuration } from './time';

/** Whether something still goes on in it: then its duration ticks. */
export function isOpen(entry: Entry): boolean {
  return entry.row === null
    ? entry.summary!.done < entry.summary!.total
    : !isClosed(entry.row.state);
}

/** How long an entry has taken, or takes so far; an empty text where it has not begun. */
export function entryDuration(entry: Entry, now: number): string {
  const { startedAt, endedAt } = entryTimes(entry);
  if (startedAt === null) {
    return '';
  }
  const open = isOpen(entry);
  return endedAt === null && !open ? '' : formatDuration((endedAt ?? now) - startedAt, open);
}

/** `load, completed, 3.2 s`: an entry in words, for screen readers and tooltips. */
export function describeEntry(entry: Entry, now: number): string {
  const { row } = entry;
  const parts = [entryTitle(entry), entryStateText(entry)];
  if (row !== null) {
    parts.push(entryProgress(entry) && `${entryProgress(entry)} done`);
    parts.push(row.attempt > 1 ? `attempt ${row.attempt}` : '');
    parts.push(row.stale === null ? '' : 'stale');
  }
  parts.push(entryDuration(entry, now));
  return parts.filter(part => part !== '').join(', ');
}
