import { make, setAttribute } from '../drawing';
import { Grouping } from '../groups';
import { ownKeys } from '../shortcuts';
import type { TabDrawing, TabView } from '../tasks';
import { drawToolbox } from '../toolbox';
import { Camera } from './camera';
import { type Layout, layoutScene, wayPath } from './layout';
import { marksFor, type Neighbours, neighboursOf } from './marks';
import { drawNode, type NodeDrawing } from './node';
import type { Direction } from './place';
import { type Item, itemEntry, makeScene, type Scene } from './scene';
import { ARROWS, walk } from './walk';

const SVG = 'http://www.w3.org/2000/svg';
/** Below this width (px) the graph goes from top to bottom. */
const NARROW = 520;
const LEAST_HEIGHT = 120;
const MOST_HEIGHT = 440;
/** Before somebody zooms, nothing is drawn smaller than this: names are to be read. */
const LEGIBLE = 0.55;
const STEP = 40;
const FACTOR = 1.25;
let made = 0;

/**
 * The runs below a run as a graph: calls of one task as one node, flows and cells as boxes around what they contain,
 * an edge from each to what got its value. `onSelect` is told the id of a run or the key of a group, null for none.
 */
export function drawGraph(onSelect: (id: string | null) => void): TabDrawing<TabView> {
  return new Graph(onSelect);
}

class Graph implements TabDrawing<TabView> {
  readonly element = make('div', 'wf-Graph');

  constructor(private readonly onSelect: (id: string | null) => void) {
    const { element, view, scene, edges, help, empty } = this;
    this.camera = new Camera(view, scene);
    view.tabIndex = 0;
    view.setAttribute('role', 'tree');
    edges.setAttribute('class', 'wf-Graph-edges');
    edges.setAttribute('aria-hidden', 'true');
    scene.setAttribute('role', 'presentation');
    help.id = `wf-graph-help-${++made}`;
    view.setAttribute('aria-describedby', help.id);
    scene.append(edges);
    view.append(scene);
    const tools = drawToolbox([
      { id: 'in', sign: '+', label: 'Zoom in', key: '+', press: () => this.camera.zoom(FACTOR) },
      {
        id: 'out',
        sign: '−',
        label: 'Zoom out',
        key: '-',
        press: () => this.camera.zoom(1 / FACTOR)
      },
      { id: 'fit', sign: '⤢', label: 'Show everything', key: 'f', press: () => this.fit() }
    ]);
    element.append(view, tools, empty, help);
    view.addEventListener('click', this.onClick);
    view.addEventListener('keydown', this.onKeyDown);
    view.addEventListener('focusin', this.onFocus);
    this.keys = ownKeys(element);
    this.observer = new ResizeObserver(() => this.onResize());
    this.observer.observe(view);
  }

  dispose(): void {
    const { view } = this;
    this.observer.disconnect();
    this.camera.dispose();
    this.keys();
    view.removeEventListener('click', this.onClick);
    view.removeEventListener('keydown', this.onKeyDown);
    view.removeEventListener('focusin', this.onFocus);
  }

  update(value: TabView): void {
    const chosen = value.selected !== this.value?.selected;
    this.value = value;
    this.grouping.update(value.tree);
    this.arrange();
    this.paintNodes();
    if (chosen) {
      this.paintMarks();
      this.revealSelected();
    }
  }

  /** Look at the edges again where rows have come or somebody has opened something; the layout only if it changes. */
  private arrange(): void {
    const { tree } = this.value!;
    const direction: Direction = this.camera.size.width < NARROW ? 'down' : 'right';
    const { structure, links } = this.grouping;
    const version = `${tree.root.id} ${structure} ${links} ${this.choice}`;
    if (version === this.version && direction === this.direction) {
      return;
    }
    const scene = makeScene(tree, this.grouping, this.choices);
    const same = scene.shape === this.plan?.shape && direction === this.direction;
    this.version = version;
    this.direction = direction;
    this.plan = scene;
    if (!same) {
      this.layout = layoutScene(scene, direction);
      this.neighbours = neighboursOf(this.layout.ways);
      this.place();
      this.showAll();
    }
    this.paintMarks();
  }

  private place(): void {
    const { rects, ways, width, height } = this.layout!;
    const { items } = this.plan!;
    for (const [key, node] of this.nodes) {
      if (!items.has(key)) {
        node.element.remove();
        this.nodes.delete(key);
      }
    }
    let last: Element = this.edges;
    for (const item of items.values()) {
      let node = this.nodes.get(item.key);
      if (node === undefined) {
        node = drawNode();
        this.nodes.set(item.key, node);
      }
      node.place(rects.get(item.key)!, levelOf(item));
      if (last.nextSibling !== node.element) {
        last.after(node.element);
      }
      last = node.element;
    }
    this.setReachable(items.get(this.reachable ?? '') ?? null);
    setAttribute(this.edges, 'width', String(Math.ceil(width)));
    setAttribute(this.edges, 'height', String(Math.ceil(height)));
    this.paths = ways.map((way, index) => {
      const path = this.paths[index] ?? document.createElementNS(SVG, 'path');
      setAttribute(path, 'class', 'wf-Edge');
      setAttribute(path, 'd', wayPath(way.points, this.direction!));
      return path;
    });
    this.edges.replaceChildren(...this.paths);
    this.empty.hidden = items.size > 0;
    this.view.hidden = items.size === 0;
    const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
    const words = `${count(items.size, 'node')}, ${count(ways.length, 'edge')}`;
    setAttribute(this.view, 'aria-label', `Graph: ${words}`);
  }

  private paintNodes(): void {
    const { now } = this.value!;
    const { before, after } = this.neighbours;
    for (const item of this.plan!.items.values()) {
      const entry = itemEntry(item, this.grouping);
      if (entry !== null) {
        const [ins, outs] = [before.get(item.key)?.length ?? 0, after.get(item.key)?.length ?? 0];
        this.nodes.get(item.key)!.update({ item, entry, now, before: ins, after: outs });
      }
    }
  }

  private paintMarks(): void {
    const { selected } = this.value!;
    const plan = this.plan!;
    const item = selected === null ? null : plan.find(selected);
    const marks = marksFor(item, plan, this.neighbours);
    for (const each of plan.items.values()) {
      this.nodes.get(each.key)!.mark(marks.of(each));
    }
    this.layout!.ways.forEach((way, index) =>
      setAttribute(this.paths[index], 'data-mark', marks.ofWay(way))
    );
  }

  /** What was selected elsewhere comes into sight; what was clicked here is in sight. */
  private revealSelected(): void {
    const { selected } = this.value!;
    const item = selected === null ? null : this.plan!.find(selected);
    const rect = item === null ? undefined : this.layout!.rects.get(item.key);
    if (rect !== undefined && item!.key !== this.pressed) {
      this.camera.reveal(rect);
    }
    this.pressed = null;
  }

  /** Until somebody has chosen what to see, everything is in sight, as far as it can be read. */
  private showAll(): void {
    const layout = this.layout!;
    const needed = this.camera.heightFor(layout, LEGIBLE);
    const wanted = Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, needed));
    this.element.style.setProperty('--wf-graph-height', `${Math.round(wanted)}px`);
    if (!this.camera.chosen) {
      const [first] = layout.rects.values();
      this.camera.fit(layout, this.whole ? undefined : LEGIBLE, first);
    }
  }

  private fit(): void {
    if (this.layout !== null) {
      this.camera.chosen = false;
      this.whole = true;
      this.showAll();
    }
  }

  private onResize(): void {
    if (this.value !== null && this.view.clientWidth > 0) {
      this.arrange();
      this.paintNodes();
      this.showAll();
    }
  }

  private setReachable(item: Item | null): void {
    const key = item?.key ?? this.plan?.items.keys().next().value ?? null;
    if (this.reachable !== key) {
      this.nodes.get(this.reachable ?? '')?.setReachable(false);
    }
    this.reachable = key;
    this.nodes.get(key ?? '')?.setReachable(true);
  }

  private itemAt(target: EventTarget | null): Item | null {
    const node = target instanceof Element ? target.closest<HTMLElement>('.wf-Node') : null;
    return node === null ? null : (this.plan?.items.get(node.dataset.key ?? '') ?? null);
  }

  private focus(item: Item): void {
    this.nodes.get(item.key)!.element.focus({ preventScroll: true });
  }

  private select(item: Item | null): void {
    const { selected } = this.value!;
    if (item !== null && item.entryKey === null) {
      return;
    }
    const id = item?.entryKey ?? null;
    this.pressed = id;
    if (id !== null || selected !== null) {
      this.onSelect(id === selected ? null : id);
    }
  }

  private toggle(item: Item): void {
    this.choices.set(item.key, !item.open);
    this.choice++;
    this.update(this.value!);
  }

  private readonly onClick = (event: MouseEvent): void => {
    if (this.camera.dragged || this.value === null) {
      return;
    }
    const item = this.itemAt(event.target);
    if (item?.openable === true && (event.target as Element).closest('.wf-Node-twisty') !== null) {
      this.toggle(item);
    } else {
      this.select(item);
    }
  };

  private readonly onFocus = (event: FocusEvent): void => {
    const item = this.itemAt(event.target);
    const rect = item === null ? undefined : this.layout?.rects.get(item.key);
    if (rect !== undefined) {
      this.setReachable(item);
      // A press of the mouse must not move what it is about to click.
      if (this.nodes.get(item!.key)!.element.matches(':focus-visible')) {
        this.camera.reveal(rect);
      }
    }
  };

  private readonly onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || this.value === null) {
      return;
    }
    const item = this.itemAt(event.target);
    const arrow = ARROWS[event.key];
    const done =
      arrow !== undefined
        ? this.onArrow(arrow, event.shiftKey ? null : item)
        : this.onZoomKey(event.key) || this.onItemKey(event.key, item);
    if (done) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  /** From node to node; with nothing in the focus but the graph itself, or with Shift, the plane moves. */
  private onArrow(arrow: readonly [number, number], item: Item | null): boolean {
    if (item === null) {
      this.camera.pan(-STEP * arrow[0], -STEP * arrow[1]);
      return true;
    }
    const next = walk(item, arrow, this.plan!.items.values(), this.layout!.rects);
    if (next !== null) {
      this.focus(next);
    }
    return true;
  }

  private onZoomKey(key: string): boolean {
    if (key === '+' || key === '=') {
      this.camera.zoom(FACTOR);
    } else if (key === '-' || key === '_') {
      this.camera.zoom(1 / FACTOR);
    } else if (key === 'f' || key === '0') {
      this.fit();
    } else {
      return false;
    }
    return true;
  }

  private onItemKey(key: string, item: Item | null): boolean {
    const items = [...this.plan!.items.values()];
    if (key === 'Escape' && this.value!.selected !== null) {
      this.select(null);
    } else if (items.length > 0 && (key === 'Home' || (key === 'Enter' && item === null))) {
      this.focus(items[0]);
    } else if (items.length > 0 && key === 'End') {
      this.focus(items[items.length - 1]);
    } else if (item !== null && key === ' ' && item.openable) {
      this.toggle(item);
    } else if (item !== null && (key === 'Enter' || key === ' ')) {
      this.select(item);
    } else {
      return false;
    }
    return true;
  }

  private readonly view = make('div', 'wf-Graph-view');
  private readonly scene = make('div', 'wf-Graph-scene');
  private readonly edges = document.createElementNS(SVG, 'svg');
  private readonly empty = make('div', 'wf-Empty', 'No tasks yet.');
  private readonly help = make('div', 'wf-hidden', HELP);
  private readonly camera: Camera;
  private readonly keys: () => void;
  private readonly observer: ResizeObserver;
  private readonly grouping = new Grouping();
  private readonly nodes = new Map<string, NodeDrawing>();
  private readonly choices = new Map<string, boolean>();
  private paths: SVGPathElement[] = [];
  private neighbours: Neighbours = { before: new Map(), after: new Map() };
  private value: TabView | null = null;
  private plan: Scene | null = null;
  private layout: Layout | null = null;
  private direction: Direction | null = null;
  private version = '';
  private choice = 0;
  /** Whether somebody has asked for all of it, however small. */
  private whole = false;
  private reachable: string | null = null;
  private pressed: string | null = null;
}

const HELP =
  'Tab goes to a task, arrow keys from task to task, Enter selects, Space opens. ' +
  'With Shift the arrow keys move the picture; plus and minus zoom, f shows everything.';

function levelOf(item: Item): number {
  let level = 0;
  for (let at = item.parent; at !== null; at = at.parent) {
    level++;
  }
  return level;
}
