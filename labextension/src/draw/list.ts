import { type Drawing, make, setAttribute } from './drawing';

/** What a list shows: rows are asked for by their number, only those in sight. */
export interface ListSource<T> {
  readonly count: number;
  /** What tells a row from others, whatever its place. */
  key(index: number): string;
  value(index: number): T;
  /** Whether the row is open: it is then as high as what is in it. */
  isOpen?(index: number): boolean;
}

export interface ListOptions<T> {
  className: string;
  label: string;
  role: string;
  /** The height (px) of a row that is not open; the style sheet sets the same. */
  rowHeight: number;
  draw(): Drawing<T>;
  /** A key that does not move the keyboard's place; returns whether it meant something. */
  onKey?(event: KeyboardEvent, index: number): boolean;
}

const AROUND = 8;
const UNKNOWN_HEIGHT = 420;
const AT_END = 8;
let made = 0;

const STEPS: Record<string, (active: number, count: number, page: number) => number> = {
  ArrowDown: active => active + 1,
  ArrowUp: active => active - 1,
  PageDown: (active, _, page) => active + page,
  PageUp: (active, _, page) => active - page,
  Home: () => 0,
  End: (_, count) => count - 1
};

/**
 * A scrolled list of which only the rows in sight are in the DOM. The list itself has the keyboard's focus and names
 * the row that the keyboard is at, so that focus is not lost with a row that is scrolled away.
 */
export class VirtualList<T> {
  readonly element: HTMLElement;
  /** Stay at the end when rows come, until the reader scrolls away; `onFollow` is told. */
  follows = false;
  onFollow: ((follows: boolean) => void) | null = null;

  constructor(private readonly options: ListOptions<T>) {
    this.prefix = `wf-list-${++made}`;
    this.element = make('div', `wf-List ${options.className}`);
    this.body = make('div', 'wf-List-body');
    this.element.tabIndex = 0;
    this.element.setAttribute('role', options.role);
    this.element.setAttribute('aria-label', options.label);
    this.body.setAttribute('role', 'presentation');
    this.element.append(this.body);
    this.element.addEventListener('scroll', this.onScroll, { passive: true });
    this.element.addEventListener('keydown', this.onKeyDown);
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(this.element);
  }

  dispose(): void {
    window.cancelAnimationFrame(this.frame);
    this.observer.disconnect();
  }

  update(source: ListSource<T>): void {
    this.source = source;
    this.paint();
  }

  /** The number of the row at which the keyboard is, -1 for none. */
  get active(): number {
    return this.activeIndex;
  }

  /** Put the keyboard's place at a row and bring it into sight. */
  go(index: number): void {
    const { source } = this;
    if (source === null || source.count === 0) {
      return;
    }
    this.activeIndex = Math.min(Math.max(0, index), source.count - 1);
    this.activeKey = source.key(this.activeIndex);
    if (this.activeIndex < source.count - 1) {
      this.setFollows(false);
    }
    this.reveal(this.activeIndex);
    this.paint();
  }

  /** Scroll to a row where it is out of sight. */
  reveal(index: number): void {
    const { element } = this;
    const top = this.topOf(index);
    const height = element.clientHeight;
    if (
      height > 0 &&
      (top < element.scrollTop || top + this.options.rowHeight > element.scrollTop + height)
    ) {
      this.setFollows(false);
      element.scrollTop = Math.max(0, top - Math.max(0, height - this.options.rowHeight) / 2);
    }
  }

  /** Follow the end from now on, or not. */
  setFollows(follows: boolean): void {
    if (this.follows !== follows) {
      this.follows = follows;
      this.onFollow?.(follows);
      if (follows) {
        this.paint();
      }
    }
  }

  /** The element of a row, where it is in sight. */
  rowElement(key: string): HTMLElement | null {
    return this.rows.get(key)?.element ?? null;
  }

  private paint(): void {
    const { source, element } = this;
    if (source === null) {
      return;
    }
    const height = element.clientHeight || UNKNOWN_HEIGHT;
    this.findActive(source);
    this.forgetClosed(source);
    let total = this.layout(source);
    const top = this.follows ? Math.max(0, total - height) : element.scrollTop;
    let first = Math.max(0, this.indexAt(top) - AROUND);
    let last = Math.min(source.count, this.indexAt(top + height) + 1 + AROUND);
    if (first >= last) {
      first = Math.max(0, last - AROUND);
      last = source.count;
    }
    this.drawRows(source, first, last);
    if (this.measure(source, first, last)) {
      total = this.layout(source);
    }
    for (let index = first; index < last; index++) {
      const row = this.rows.get(source.key(index));
      if (row !== undefined) {
        const transform = `translateY(${this.topOf(index)}px)`;
        if (row.element.style.transform !== transform) {
          row.element.style.transform = transform;
        }
      }
    }
    if (this.follows && element.clientHeight > 0 && total > element.clientHeight) {
      element.scrollTop = total;
    }
  }

  private drawRows(source: ListSource<T>, first: number, last: number): void {
    const wanted = new Set<string>();
    for (let index = first; index < last; index++) {
      wanted.add(source.key(index));
    }
    const spare: Drawing<T>[] = [];
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        spare.push(row);
        this.rows.delete(key);
      }
    }
    let place: ChildNode | null = this.body.firstChild;
    for (let index = first; index < last; index++) {
      const key = source.key(index);
      let row = this.rows.get(key);
      if (row === undefined) {
        row = spare.pop() ?? this.options.draw();
        this.rows.set(key, row);
      }
      row.update(source.value(index));
      const { element } = row;
      setAttribute(element, 'id', `${this.prefix}-${index}`);
      setAttribute(element, 'data-index', String(index));
      setAttribute(element, 'data-active', String(index === this.activeIndex));
      setAttribute(element, 'data-open', String(source.isOpen?.(index) ?? false));
      if (element === place) {
        place = place.nextSibling;
      } else {
        this.body.insertBefore(element, place);
      }
    }
    spare.forEach(row => row.element.remove());
    setAttribute(this.element, 'aria-rowcount', String(source.count));
    setAttribute(
      this.element,
      'aria-activedescendant',
      this.activeIndex >= first && this.activeIndex < last
        ? `${this.prefix}-${this.activeIndex}`
        : null
    );
  }

  /** Look how high open rows are; returns whether that is news. */
  private measure(source: ListSource<T>, first: number, last: number): boolean {
    let changed = false;
    for (let index = first; index < last; index++) {
      if (source.isOpen?.(index) === true) {
        const key = source.key(index);
        const more = Math.max(
          0,
          (this.rows.get(key)?.element.offsetHeight ?? 0) - this.options.rowHeight
        );
        if (this.more.get(key) !== more) {
          this.more.set(key, more);
          changed = true;
        }
      }
    }
    return changed;
  }

  private forgetClosed(source: ListSource<T>): void {
    if (this.more.size > 0) {
      const open = new Map<string, number>();
      for (let index = 0; index < source.count; index++) {
        const key = source.key(index);
        const known = this.more.get(key);
        if (known !== undefined && source.isOpen?.(index) === true) {
          open.set(key, known);
        }
      }
      this.more = open;
    }
  }

  /** Note where open rows lie; returns the height of all rows. */
  private layout(source: ListSource<T>): number {
    this.opened = [];
    let extra = 0;
    if (this.more.size > 0) {
      for (let index = 0; index < source.count; index++) {
        const more = this.more.get(source.key(index));
        if (more !== undefined) {
          this.opened.push({ index, more });
          extra += more;
        }
      }
    }
    const total = source.count * this.options.rowHeight + extra;
    const height = `${total}px`;
    if (this.body.style.height !== height) {
      this.body.style.height = height;
    }
    return total;
  }

  private topOf(index: number): number {
    let top = index * this.options.rowHeight;
    for (const open of this.opened) {
      if (open.index >= index) {
        break;
      }
      top += open.more;
    }
    return top;
  }

  private indexAt(top: number): number {
    const { rowHeight } = this.options;
    let passed = 0;
    for (const open of this.opened) {
      const end = (open.index + 1) * rowHeight + passed + open.more;
      if (top < end) {
        return Math.min(open.index, Math.floor((top - passed) / rowHeight));
      }
      passed += open.more;
    }
    return Math.floor((top - passed) / rowHeight);
  }

  /** The keyboard's place stays with its row when others come and go. */
  private findActive(source: ListSource<T>): void {
    const { activeKey, activeIndex } = this;
    if (
      activeKey === null ||
      (activeIndex < source.count && source.key(activeIndex) === activeKey)
    ) {
      return;
    }
    for (let index = 0; index < source.count; index++) {
      if (source.key(index) === activeKey) {
        this.activeIndex = index;
        return;
      }
    }
    this.activeIndex = Math.min(activeIndex, source.count - 1);
    this.activeKey = this.activeIndex < 0 ? null : source.key(this.activeIndex);
  }

  private readonly onScroll = (): void => {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    const atEnd = scrollTop + clientHeight >= scrollHeight - AT_END;
    const away = this.follows && scrollTop < this.scrolledTo - 1 && !atEnd;
    this.scrolledTo = scrollTop;
    if (away) {
      this.setFollows(false);
    } else if (!this.follows && atEnd && this.onFollow !== null && clientHeight < scrollHeight) {
      this.setFollows(true);
    }
    window.cancelAnimationFrame(this.frame);
    this.frame = window.requestAnimationFrame(() => this.paint());
  };

  private readonly onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const step = STEPS[event.key];
    if (step !== undefined && this.source !== null) {
      const page = Math.max(1, Math.floor(this.element.clientHeight / this.options.rowHeight) - 1);
      this.go(step(this.activeIndex, this.source.count, page));
    } else if (!(this.options.onKey?.(event, this.activeIndex) ?? false)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  private readonly prefix: string;
  private readonly body: HTMLElement;
  private readonly observer: ResizeObserver;
  private readonly rows = new Map<string, Drawing<T>>();
  private source: ListSource<T> | null = null;
  private more = new Map<string, number>();
  private opened: { index: number; more: number }[] = [];
  private activeKey: string | null = null;
  private activeIndex = -1;
  private scrolledTo = 0;
  private frame = 0;
}
