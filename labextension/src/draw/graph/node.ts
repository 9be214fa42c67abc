import type { ProgressJSON } from '../../api/schema';
import { drawStateIcon } from '../badge';
import { describeEntry, entryDuration, isOpen } from '../describe';
import { type Drawing, make, setAttribute, setText } from '../drawing';
import { type Entry, entryState, entryStateText, entryTitle } from '../groups';
import { drawProgress } from '../progress';
import { isUsual, stateLabel } from '../states';
import { plain } from '../text';
import type { Rect } from './layout';
import type { Item } from './scene';

/** How a node stands to the one that is selected. */
export type Mark = 'self' | 'before' | 'after' | 'other' | null;

/** A node as it is to be drawn; `now` is in ms since the epoch. */
export interface NodeView {
  item: Item;
  entry: Entry;
  now: number;
  /** How many others it has values from, and how many have values from it. */
  before: number;
  after: number;
}

/** A node: its element, and what changes without a change of the layout. */
export interface NodeDrawing extends Drawing<NodeView> {
  place(rect: Rect, level: number): void;
  mark(mark: Mark): void;
  /** Whether Tab leads here; of all nodes one. */
  setReachable(reachable: boolean): void;
}

/** A rounded box with icon, name, progress and duration; around what it contains, where it is open. */
export function drawNode(): NodeDrawing {
  const element = make('div', 'wf-Node');
  const head = make('div', 'wf-Node-head');
  const icon = drawStateIcon();
  const name = make('span', 'wf-Node-name');
  const twisty = make('span', 'wf-Node-twisty');
  const meta = make('div', 'wf-Node-meta');
  const state = make('span', 'wf-Node-state');
  const duration = make('span', 'wf-Node-duration');
  // A dozen elements that most runs have no use for: made where there is something to count.
  let progress: Drawing<ProgressJSON | null> | null = null;
  element.setAttribute('role', 'treeitem');
  element.tabIndex = -1;
  twisty.setAttribute('aria-hidden', 'true');
  head.append(icon.element, name, twisty);
  meta.append(state, duration);
  element.append(head, meta);
  let seen: NodeView | null = null;

  const count = (counts: ProgressJSON | null): void => {
    if (progress === null && counts !== null) {
      progress = drawProgress();
      progress.element.setAttribute('aria-hidden', 'true');
      element.append(progress.element);
    }
    progress?.update(counts);
  };

  const update = (view: NodeView): void => {
    const { item, entry, now, before, after } = view;
    const same =
      seen !== null &&
      seen.entry === entry &&
      seen.item === item &&
      (seen.now === now || !isOpen(entry));
    seen = view;
    if (same) {
      return;
    }
    const { type, message } = entryState(entry);
    const { summary } = entry;
    const said = item.hidden.length > 0 ? describeMore(item, entry) : describeEntry(entry, now);
    setAttribute(element, 'data-key', item.key);
    setAttribute(element, 'data-state', type);
    setAttribute(element, 'data-live', String(isOpen(entry) && type === 'RUNNING'));
    setAttribute(
      element,
      'data-kind',
      item.open ? 'box' : item.hidden.length > 0 ? 'more' : entry.row === null ? 'group' : 'run'
    );
    setAttribute(element, 'data-stale', (entry.row?.stale ?? null) === null ? null : 'true');
    setAttribute(element, 'aria-expanded', item.openable ? String(item.open) : null);
    setAttribute(
      element,
      'aria-label',
      [said, before > 0 ? `${before} upstream` : '', `${after} downstream`]
        .filter(Boolean)
        .join(', ')
    );
    setAttribute(
      element,
      'title',
      [said, message ?? '', entry.row?.stale ?? ''].filter(Boolean).map(plain).join('\n')
    );
    icon.update(type);
    setText(name, item.hidden.length > 0 ? `${entry.name}: see Tasks` : entryTitle(entry));
    twisty.hidden = !item.openable;
    setText(twisty, item.open ? '▾' : '▸');
    setText(state, stateText(entry));
    setText(duration, entryDuration(entry, now));
    count(
      summary === null || item.open
        ? null
        : { total: summary.total, done: summary.done, counts: summary.counts }
    );
  };
  return {
    element,
    update,
    place(rect, level) {
      const { style } = element;
      style.left = `${rect.x}px`;
      style.top = `${rect.y}px`;
      style.width = `${rect.width}px`;
      style.height = `${rect.height}px`;
      setAttribute(element, 'aria-level', String(level));
    },
    mark(mark) {
      setAttribute(element, 'data-mark', mark);
      setAttribute(element, 'aria-selected', String(mark === 'self'));
    },
    setReachable(reachable) {
      setAttribute(element, 'tabindex', reachable ? '0' : '-1');
    }
  };
}

/** What is not drawn, and where it is to be seen. */
function describeMore(item: Item, entry: Entry): string {
  const many = item.hidden.length.toLocaleString('en');
  return `${many} more that the graph has no room for, ${entryStateText(entry)}; the tab Tasks lists them`;
}

/** `7/20, 1 failed`; else the state where its progress does not say it, the attempt, and whether it is stale. */
function stateText(entry: Entry): string {
  const { row, summary } = entry;
  const parts = summary === null ? '' : `${summary.done}/${summary.total}`;
  const words =
    row === null
      ? [parts, summary!.failed > 0 ? `${summary!.failed} failed` : '']
      : [
          isUsual(row.state) && summary !== null ? '' : stateLabel(row.state),
          parts,
          row.attempt > 1 ? `attempt ${row.attempt}` : '',
          row.stale === null ? '' : 'stale'
        ];
  return words.filter(Boolean).join(', ');
}
