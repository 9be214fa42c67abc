import type { LogBuffer, LogLine } from '../model/logBuffer';
import { make, setAttribute, setText } from './drawing';
import { groupKey, isGroupKey } from './groups';
import { VirtualList } from './list';
import { drawLogLine, lineText, LOG_ROW, type LogLineView } from './logLine';
import type { TabDrawing, TabView } from './tasks';
import { plain } from './text';

const LEVELS: readonly (readonly [number, string])[] = [
  [0, 'All levels'],
  [20, 'Info and above'],
  [30, 'Warnings and above'],
  [40, 'Errors']
];

/** What the tab Logs is given. */
export interface LogsView extends TabView {
  logs: LogBuffer;
}

/** The tab Logs: it follows the newest line until the reader scrolls up; narrowed to the run that is chosen. */
export function drawLogs(onSelect: (id: string | null) => void): TabDrawing<LogsView> {
  return new Logs(onSelect);
}

class Logs implements TabDrawing<LogsView> {
  readonly element = make('div', 'wf-Logs');

  constructor(private readonly onSelect: (id: string | null) => void) {
    this.makeBar();
    this.list = new VirtualList<LogLineView>({
      className: 'wf-Logs-list',
      label: 'Log lines',
      role: 'list',
      rowHeight: LOG_ROW,
      draw: drawLogLine,
      onKey: (event, index) => this.onKey(event, index)
    });
    this.list.follows = true;
    this.list.onFollow = follows => (this.follow.checked = follows);
    this.list.element.addEventListener('click', event => this.onClick(event));
    this.element.append(this.bar, this.note, this.list.element, this.empty);
  }

  dispose(): void {
    this.list.dispose();
  }

  update(view: LogsView): void {
    const { logs, selected, tree } = view;
    if (selected !== this.view?.selected || tree.root.id !== this.view.tree.root.id) {
      this.listedVersion = null;
      this.inside = selected === null ? null : within(view, selected);
    } else if (this.inside !== null && tree.rows.length !== this.view.tree.rows.length) {
      this.inside = within(view, selected!);
    }
    this.view = view;
    if (this.listedVersion !== logs.version) {
      this.listedVersion = logs.version;
      this.lines = logs.lines.filter(line => this.passes(line));
      this.matches = this.findMatches();
    }
    this.paint();
  }

  private paint(): void {
    const { view, lines } = this;
    if (view === null) {
      return;
    }
    const search = this.wanted;
    const current = this.matches[this.match];
    const { byId, root } = view.tree;
    // A run alone needs no name at each line.
    const alone = view.tree.rows.length === 0;
    setAttribute(this.element, 'data-alone', String(alone));
    this.list.update({
      count: lines.length,
      key: index => String(lines[index].key),
      value: index => ({
        line: lines[index],
        name: alone ? '' : plain(byId.get(lines[index].runId)?.name ?? root.name),
        search,
        current: index === current && search !== '',
        open: this.opened.has(lines[index].key)
      }),
      isOpen: index => this.opened.has(lines[index].key)
    });
    const some = view.logs.lines.length > 0;
    this.bar.hidden = !some;
    this.note.hidden = !view.logs.dropped || lines.length === 0;
    this.list.element.hidden = lines.length === 0;
    this.empty.hidden = lines.length > 0;
    setText(
      this.empty,
      some
        ? 'No log line fits the filter.'
        : 'No log lines yet: log with get_run_logger(), or print with log_prints.'
    );
    const name = chosenName(view);
    this.only.hidden = name === null;
    setText(this.only, `Only ${name ?? ''} ✕`);
    setAttribute(this.only, 'title', `Show the lines of all runs, not only of ${name ?? ''}`);
    const { length } = this.matches;
    setText(
      this.found,
      search === '' ? '' : length === 0 ? 'no match' : `${this.match + 1} of ${length}`
    );
    this.next.hidden = this.previous.hidden = search === '' || length === 0;
  }

  private passes(line: LogLine): boolean {
    return (
      line.level >= Number(this.level.value || 0) &&
      (this.inside === null || this.inside.has(line.runId))
    );
  }

  private get wanted(): string {
    return this.search.value.trim().toLowerCase();
  }

  private findMatches(): number[] {
    const search = this.wanted;
    const found: number[] = [];
    if (search !== '') {
      this.lines.forEach((line, index) => {
        if (lineText(line).toLowerCase().includes(search)) {
          found.push(index);
        }
      });
    }
    this.match = Math.min(this.match, Math.max(0, found.length - 1));
    return found;
  }

  private refilter(): void {
    this.listedVersion = null;
    if (this.view !== null) {
      this.update(this.view);
    }
  }

  private lookFor(): void {
    this.matches = this.findMatches();
    this.match = Math.max(0, this.matches.length - 1);
    this.goToMatch(0);
  }

  /** Go to the next match, or the one before; the last one is where the reader begins. */
  private goToMatch(step: number): void {
    const { length } = this.matches;
    if (length > 0) {
      this.match = (this.match + step + length) % length;
      this.list.go(this.matches[this.match]);
    }
    this.paint();
  }

  private toggleOpen(line: LogLine): void {
    if (!this.opened.delete(line.key)) {
      this.opened.add(line.key);
    }
    this.list.setFollows(false);
    this.paint();
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const line = this.lines[Number(target.closest<HTMLElement>('.wf-Log')?.dataset.index ?? -1)];
    if (line === undefined || (window.getSelection()?.toString() ?? '') !== '') {
      return;
    }
    if (target.closest('.wf-Log-run') !== null) {
      this.onSelect(line.runId === this.view?.tree.root.id ? null : line.runId);
    } else {
      this.toggleOpen(line);
    }
  }

  private onKey(event: KeyboardEvent, index: number): boolean {
    const line = this.lines[index];
    if (event.key === '/') {
      this.search.focus();
    } else if (event.key === 'Escape' && (this.view?.selected ?? null) !== null) {
      this.onSelect(null);
    } else if (line !== undefined && (event.key === 'Enter' || event.key === ' ')) {
      this.toggleOpen(line);
    } else {
      return false;
    }
    return true;
  }

  private makeBar(): void {
    const { bar, search, level, follow, previous, next } = this;
    search.type = 'search';
    search.placeholder = 'Search';
    search.setAttribute('aria-label', 'Search the log');
    search.addEventListener('input', () => this.lookFor());
    search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault();
        this.goToMatch(event.shiftKey ? -1 : 1);
      }
    });
    this.found.setAttribute('role', 'status');
    for (const [button, label, step] of [
      [previous, 'Previous match', -1],
      [next, 'Next match', 1]
    ] as const) {
      button.type = 'button';
      button.setAttribute('aria-label', label);
      button.title = label;
      button.addEventListener('click', () => this.goToMatch(step));
    }
    level.setAttribute('aria-label', 'Log level');
    for (const [value, label] of LEVELS) {
      const option = make('option', '', label);
      option.value = String(value);
      level.append(option);
    }
    level.addEventListener('change', () => this.refilter());
    this.only.type = 'button';
    this.only.addEventListener('click', () => this.onSelect(null));
    follow.type = 'checkbox';
    follow.checked = true;
    follow.addEventListener('change', () => this.list.setFollows(follow.checked));
    const label = make('label', 'wf-Logs-follow');
    label.append(follow, 'Follow');
    bar.append(search, this.found, previous, next, level, this.only, label);
    this.note.textContent = 'Older lines are not here.';
  }

  private readonly list: VirtualList<LogLineView>;
  private readonly bar = make('div', 'wf-Tools');
  private readonly search = make('input', 'wf-Input wf-Logs-search');
  private readonly found = make('span', 'wf-Logs-found');
  private readonly previous = make('button', 'wf-Button', '↑');
  private readonly next = make('button', 'wf-Button', '↓');
  private readonly level = make('select', 'wf-Input wf-Logs-level');
  private readonly only = make('button', 'wf-Button wf-Logs-only');
  private readonly follow = make('input', '');
  private readonly note = make('div', 'wf-Logs-note');
  private readonly empty = make('div', 'wf-Empty');
  private readonly opened = new Set<number>();
  private view: LogsView | null = null;
  private listedVersion: number | null = null;
  private inside: ReadonlySet<string> | null = null;
  private lines: readonly LogLine[] = [];
  private matches: number[] = [];
  private match = 0;
}

/** The ids of a run, or of the calls of one task, and of everything below them. */
function within({ tree }: TabView, key: string): ReadonlySet<string> {
  const ids = new Set([key]);
  const isGroup = isGroupKey(key);
  for (const row of tree.rows) {
    const above = row.parentId ?? tree.root.id;
    if (ids.has(above) || (isGroup && groupKey(above, row.taskName) === key)) {
      ids.add(row.id);
    }
  }
  return ids;
}

function chosenName({ tree, selected }: TabView): string | null {
  if (selected === null) {
    return null;
  }
  const row =
    tree.byId.get(selected) ??
    tree.rows.find(each => groupKey(each.parentId ?? tree.root.id, each.taskName) === selected);
  return row === undefined ? null : plain(isGroupKey(selected) ? (row.taskName ?? '') : row.name);
}
