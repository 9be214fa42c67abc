import { attemptsText } from './attempts';
import { drawStateIcon } from './badge';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { drawTraceback } from './error';
import { entryProgress, entryState, entryStateText, entryTimes, entryTitle } from './groups';
import { isClosed, stateLabel } from './states';
import type { TaskItem } from './taskList';
import { errorLine, lastLine, plain } from './text';
import { formatDuration } from './time';

/** The height of a row in px; `screen.css` sets the same. */
export const TASK_ROW = 24;

/** A line of the list of tasks, the moment (ms) it is seen at, whether it is chosen, and whether its error is open. */
export interface TaskRowView {
  item: TaskItem;
  now: number;
  selected: boolean;
  open: boolean;
}

/** A run or a group: state, name, parts and attempts, duration, last line or error; open also the traceback. */
export function drawTaskRow(): Drawing<TaskRowView> {
  const element = make('div', 'wf-Task');
  const line = make('div', 'wf-Task-line');
  const state = cell('wf-Task-state');
  const icon = drawStateIcon();
  const word = make('span', 'wf-Task-word');
  const title = cell('wf-Task-title');
  const twisty = make('span', 'wf-Twisty');
  const name = make('span', 'wf-Task-name');
  const parts = cell('wf-Task-parts');
  const duration = cell('wf-Task-duration');
  const said = cell('wf-Task-said');
  const traceback = drawTraceback();
  element.setAttribute('role', 'row');
  line.setAttribute('role', 'presentation');
  twisty.setAttribute('aria-hidden', 'true');
  state.append(icon.element, word);
  title.append(twisty, name);
  line.append(state, title, parts, duration, said);
  element.append(line, traceback.element);
  let drawn: TaskRowView | null = null;
  return {
    element,
    update(view) {
      const { item, now, selected, open } = view;
      const { entry, level, expandable, expanded } = item;
      const { startedAt, endedAt } = entryTimes(entry);
      const type = entryState(entry);
      const goesOn = startedAt !== null && endedAt === null && !isClosed(type);
      if (isSame(drawn, view) && !goesOn) {
        return;
      }
      drawn = view;
      const { row } = entry;
      const text = row === null ? entryStateText(entry) : stateLabel(row.state);
      setAttribute(element, 'data-run-id', row?.id ?? null);
      setAttribute(element, 'data-key', entry.key);
      setAttribute(element, 'data-state', type.type);
      setAttribute(element, 'aria-level', String(level));
      setAttribute(element, 'aria-selected', String(selected));
      setAttribute(element, 'aria-expanded', expandable ? String(expanded) : null);
      icon.update(type.type);
      setText(word, row === null ? stateLabel(type) : text);
      setAttribute(
        state,
        'title',
        row?.state.message ? `${text}: ${plain(row.state.message)}` : text
      );
      title.style.paddingLeft = `${(level - 1) * 14}px`;
      setText(twisty, expandable ? (expanded ? '▾' : '▸') : '');
      setText(name, entryTitle(entry));
      setAttribute(
        title,
        'title',
        row?.stale ? `${entryTitle(entry)}\nOut of date: ${plain(row.stale)}` : entryTitle(entry)
      );
      setAttribute(name, 'data-stale', String((row?.stale ?? null) !== null));
      // The first attempt is nothing to be told of.
      const attempts =
        row === null || row.attempt < 2
          ? ''
          : attemptsText({ attempt: row.attempt, max_attempts: row.maxAttempts });
      setText(
        parts,
        [entryProgress(entry), attempts && `↻ ${attempts}`].filter(Boolean).join(' · ')
      );
      setAttribute(parts, 'title', attempts ? `Attempt ${attempts}` : null);
      const end = endedAt ?? now;
      setText(duration, startedAt === null ? '' : formatDuration(end - startedAt, goesOn));
      showSaid(said, view);
      traceback.update(open ? (row?.error ?? null) : null);
    }
  };
}

function showSaid(said: HTMLElement, { item, open }: TaskRowView): void {
  const { row } = item.entry;
  const error = row?.error ?? null;
  const closed = row !== null && isClosed(row.state) && row.state.type !== 'COMPLETED';
  const text =
    row === null
      ? entryStateText(item.entry)
      : error !== null
        ? `${open ? '▾' : '▸'} ${errorLine(error)}`
        : closed && row.state.message
          ? plain(row.state.message)
          : row.lastLog
            ? lastLine(row.lastLog)
            : '';
  setText(said, text);
  setAttribute(said, 'data-kind', error !== null ? 'error' : row === null ? 'counts' : 'log');
  setAttribute(
    said,
    'title',
    error !== null ? `${errorLine(error)}\nShow or hide the traceback` : text || null
  );
}

function isSame(a: TaskRowView | null, b: TaskRowView): boolean {
  return (
    a !== null &&
    a.item.entry === b.item.entry &&
    a.item.level === b.item.level &&
    a.item.expandable === b.item.expandable &&
    a.item.expanded === b.item.expanded &&
    a.selected === b.selected &&
    a.open === b.open
  );
}

function cell(className: string): HTMLElement {
  const element = make('span', className);
  element.setAttribute('role', 'gridcell');
  return element;
}
