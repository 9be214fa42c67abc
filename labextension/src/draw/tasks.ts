import { drawChips } from './chips';
import { type Drawing, make, setText } from './drawing';
import { isGroupKey } from './groups';
import { VirtualList } from './list';
import { NO_TASK_FILTER, narrows, type TaskItem, TaskList } from './taskList';
import { drawTaskRow, TASK_ROW, type TaskRowView } from './taskRow';
import type { Tree } from './tree';

/** What a tab with a drawing of the tree is given. */
export interface TabView {
  tree: Tree;
  selected: string | null;
  now: number;
}

/** What the list of tasks needs beyond that: the numbers of all states, how many runs have no row, whether it lives. */
export interface TasksView extends TabView {
  counts: ReadonlyMap<string, number>;
  more: number;
  live: boolean;
}

/** A tab: a drawing that can be taken down. */
export interface TabDrawing<T> extends Drawing<T> {
  dispose(): void;
}

/** The tab Tasks: filters, and a list of what is below the run, of which only the rows in sight are drawn. */
export function drawTasks(
  onSelect: (id: string | null) => void,
  choices: Map<string, boolean>
): TabDrawing<TasksView> {
  return new Tasks(onSelect, choices);
}

class Tasks implements TabDrawing<TasksView> {
  readonly element = make('div', 'wf-Tasks');

  constructor(
    private readonly onSelect: (id: string | null) => void,
    choices: Map<string, boolean>
  ) {
    this.tasks = new TaskList(choices);
    this.search.type = 'search';
    this.search.placeholder = 'Filter';
    this.search.setAttribute('aria-label', 'Filter tasks by text');
    this.search.addEventListener('input', () => this.narrow({ text: this.search.value }));
    this.chips = drawChips(type => this.toggleState(type));
    this.list = new VirtualList<TaskRowView>({
      className: 'wf-Tasks-list',
      label: 'Tasks',
      role: 'treegrid',
      rowHeight: TASK_ROW,
      draw: drawTaskRow,
      onKey: (event, index) => this.onKey(event, index)
    });
    this.list.element.addEventListener('click', event => this.onClick(event));
    const bar = make('div', 'wf-Tools');
    bar.append(this.search, this.chips.element);
    this.showAll.type = 'button';
    this.showAll.addEventListener('click', () => this.clear());
    this.empty.append(this.emptyText, this.showAll);
    this.element.append(bar, this.list.element, this.empty, this.more);
  }

  dispose(): void {
    this.list.dispose();
  }

  update(view: TasksView): void {
    if (this.view === null && view.live) {
      // What runs is at the end: stay there, unless the reader scrolls away from it.
      this.list.follows = true;
    }
    if (view.selected !== null && view.selected !== this.view?.selected) {
      this.revealNext = view.selected !== this.chosenHere;
    }
    this.view = view;
    const { tree, selected, counts, more } = view;
    this.chips.update({ counts, chosen: this.tasks.filter.states });
    let items = this.tasks.items(tree);
    if (this.revealNext && selected !== null) {
      this.tasks.openTo(selected, tree);
      items = this.tasks.items(tree);
    }
    this.items = items;
    this.list.update({
      count: items.length,
      key: index => items[index].entry.key,
      value: index => this.rowView(items[index]),
      isOpen: index => this.isOpen(items[index])
    });
    if (this.revealNext) {
      this.revealNext = false;
      const place = items.findIndex(item => item.entry.key === selected);
      if (place >= 0) {
        this.list.go(place);
      }
    }
    this.list.element.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
    setText(this.emptyText, tree.rows.length > 0 ? 'No task fits the filter.' : 'No tasks yet.');
    this.showAll.hidden = !narrows(this.tasks.filter);
    this.more.hidden = more === 0;
    setText(this.more, `and ${more.toLocaleString('en')} more`);
  }

  private rowView(item: TaskItem): TaskRowView {
    const { selected, now } = this.view!;
    return {
      item,
      now,
      selected: item.entry.key === selected,
      open: this.isOpen(item)
    };
  }

  private isOpen(item: TaskItem): boolean {
    return this.openErrors.has(item.entry.key) && (item.entry.row?.error ?? null) !== null;
  }

  private narrow(change: { text?: string; states?: ReadonlySet<string> }): void {
    this.tasks.setFilter({ ...this.tasks.filter, ...change });
    this.list.setFollows(false);
    this.repaint();
  }

  private toggleState(type: string): void {
    const states = new Set(this.tasks.filter.states);
    if (!states.delete(type)) {
      states.add(type);
    }
    this.narrow({ states });
  }

  private clear(): void {
    this.search.value = '';
    this.narrow(NO_TASK_FILTER);
    this.list.element.focus();
  }

  private repaint(): void {
    if (this.view !== null) {
      this.update(this.view);
    }
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const row = target.closest<HTMLElement>('.wf-Task');
    const index = Number(row?.dataset.index ?? -1);
    const item = this.items[index];
    if (item === undefined || target.closest('.wf-Error-traceback') !== null) {
      return;
    }
    this.list.go(index);
    if (target.closest('.wf-Twisty') !== null && item.expandable) {
      this.toggle(item);
    } else if (target.closest('.wf-Task-said[data-kind="error"]') !== null) {
      this.toggleError(item);
    } else {
      this.choose(item);
    }
  }

  /** A click on a group opens it; on a run it is chosen, or no longer. */
  private choose(item: TaskItem): void {
    const { key } = item.entry;
    if (isGroupKey(key)) {
      this.toggle(item);
    } else {
      this.chosenHere = key;
      this.onSelect(key === this.view?.selected ? null : key);
    }
  }

  private toggle(item: TaskItem): void {
    this.tasks.setExpanded(item.entry.key, !item.expanded);
    this.list.setFollows(false);
    this.repaint();
  }

  private toggleError(item: TaskItem): void {
    if (!this.openErrors.delete(item.entry.key)) {
      this.openErrors.add(item.entry.key);
    }
    this.list.setFollows(false);
    this.repaint();
  }

  private onKey(event: KeyboardEvent, index: number): boolean {
    const item = this.items[index];
    if (event.key === 'Escape' && (this.view?.selected ?? null) !== null) {
      this.onSelect(null);
      return true;
    }
    if (item === undefined) {
      return false;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      this.choose(item);
    } else if (event.key === 'e' && (item.entry.row?.error ?? null) !== null) {
      this.toggleError(item);
    } else if (event.key === 'ArrowRight' && item.expandable) {
      if (item.expanded) {
        this.list.go(index + 1);
      } else {
        this.toggle(item);
      }
    } else if (event.key === 'ArrowLeft') {
      if (item.expanded) {
        this.toggle(item);
      } else {
        this.goAbove(index);
      }
    } else {
      return false;
    }
    return true;
  }

  private goAbove(index: number): void {
    const { level } = this.items[index];
    for (let above = index - 1; above >= 0; above--) {
      if (this.items[above].level < level) {
        this.list.go(above);
        return;
      }
    }
  }

  private readonly tasks: TaskList;
  private readonly list: VirtualList<TaskRowView>;
  private readonly chips;
  private readonly search = make('input', 'wf-Input wf-Tasks-search');
  private readonly empty = make('div', 'wf-Empty');
  private readonly emptyText = make('p', '');
  private readonly showAll = make('button', 'wf-Button', 'Show all');
  private readonly more = make('div', 'wf-Tasks-more');
  private readonly openErrors = new Set<string>();
  private items: readonly TaskItem[] = [];
  private view: TasksView | null = null;
  private chosenHere: string | null = null;
  private revealNext = false;
}
