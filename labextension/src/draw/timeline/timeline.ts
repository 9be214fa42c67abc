import { make, setAttribute } from '../drawing';
import { isGroupKey } from '../groups';
import { VirtualList } from '../list';
import { ownKeys } from '../shortcuts';
import { isClosed } from '../states';
import type { TabDrawing, TabView } from '../tasks';
import { drawToolbox } from '../toolbox';
import { drawAxis } from './axis';
import { drawLane, LANE, type LaneView } from './lane';
import { type Lane, Lanes } from './lanes';
import { homeOf, lifeOf, TimeWindow } from './scale';
import { Tip, tipText } from './tip';

const FACTOR = 1.5;
const STEP = 0.15;
const WALKS = new Set(['ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End']);

/**
 * The runs below a run on a time axis: a line each, the calls of one task as one line that can be opened, a bar for
 * each attempt, hatched where it waited. `onSelect` is told the id of a run or the key of a group, null for none.
 */
export function drawTimeline(onSelect: (id: string | null) => void): TabDrawing<TabView> {
  return new Timeline(onSelect);
}

class Timeline implements TabDrawing<TabView> {
  readonly element = make('div', 'wf-Timeline');

  constructor(private readonly onSelect: (id: string | null) => void) {
    const { element, axis, tip } = this;
    this.list = new VirtualList<LaneView>({
      className: 'wf-Timeline-list',
      label: 'Timeline',
      role: 'treegrid',
      rowHeight: LANE,
      draw: drawLane,
      onKey: (event, index) => this.onKey(event, index)
    });
    const head = make('div', 'wf-Timeline-head');
    const tools = drawToolbox([
      { id: 'in', sign: '+', label: 'Zoom in', key: '+', press: () => this.zoom(FACTOR) },
      { id: 'out', sign: '−', label: 'Zoom out', key: '-', press: () => this.zoom(1 / FACTOR) },
      { id: 'fit', sign: '⤢', label: 'Show everything', key: 'f', press: () => this.fit() }
    ]);
    const corner = make('div', 'wf-Timeline-corner');
    corner.append(tools);
    head.append(corner, axis.element);
    element.append(head, this.list.element, axis.lines, tip.element);
    const { element: body } = this.list;
    body.addEventListener('click', this.onClick);
    body.addEventListener('pointerdown', this.onDown);
    body.addEventListener('pointermove', this.onMove);
    body.addEventListener('pointerup', this.onUp);
    body.addEventListener('pointercancel', this.onUp);
    body.addEventListener('pointerleave', this.onLeave);
    body.addEventListener('blur', this.onLeave);
    body.addEventListener('keyup', this.onKeyUp);
    element.addEventListener('wheel', this.onWheel, { passive: false });
    this.keys = ownKeys(element);
    this.observer = new ResizeObserver(() => this.paint());
    this.observer.observe(element);
  }

  dispose(): void {
    const { element: body } = this.list;
    this.observer.disconnect();
    this.list.dispose();
    this.keys();
    body.removeEventListener('click', this.onClick);
    body.removeEventListener('pointerdown', this.onDown);
    body.removeEventListener('pointermove', this.onMove);
    body.removeEventListener('pointerup', this.onUp);
    body.removeEventListener('pointercancel', this.onUp);
    body.removeEventListener('pointerleave', this.onLeave);
    body.removeEventListener('blur', this.onLeave);
    body.removeEventListener('keyup', this.onKeyUp);
    this.element.removeEventListener('wheel', this.onWheel);
  }

  update(value: TabView): void {
    const { selected, tree } = value;
    const elsewhere =
      selected !== null && selected !== this.value?.selected && selected !== this.pressed;
    if (value.tree.root.id !== this.value?.tree.root.id) {
      this.window = new TimeWindow();
      this.whole = false;
    }
    this.value = value;
    this.pressed = null;
    if (elsewhere && !isGroupKey(selected)) {
      this.lanes.openTo(selected, tree);
    }
    this.paint();
    const place = elsewhere ? this.lines.findIndex(lane => lane.entry.key === selected) : -1;
    if (place >= 0) {
      this.list.go(place);
    }
  }

  private paint(): void {
    if (this.value === null) {
      return;
    }
    const { tree, now, selected } = this.value;
    const life = lifeOf(tree, now);
    this.window.setLife(life, this.whole ? life : homeOf(tree, life));
    const { range } = this.window;
    const start = life.from;
    this.lines = this.lanes.of(tree);
    const { lines } = this;
    this.list.update({
      count: lines.length,
      key: index => lines[index].entry.key,
      value: index => {
        const lane = lines[index];
        return { lane, range, start, now, selected: lane.entry.key === selected };
      }
    });
    const width = this.trackWidth();
    const live = !isClosed(tree.root.state);
    this.axis.update({ range, start, width, now: live ? now : null });
    setAttribute(this.element, 'data-zoomed', String(this.window.zoomed));
  }

  /** How wide the bars' place is; the axis leaves out the scroll bar as the lines do. */
  private trackWidth(): number {
    const { clientWidth, offsetWidth } = this.list.element;
    if (clientWidth === 0) {
      return 600;
    }
    const bar = `${offsetWidth - clientWidth}px`;
    if (this.element.style.getPropertyValue('--wf-scrollbar') !== bar) {
      this.element.style.setProperty('--wf-scrollbar', bar);
    }
    return this.axis.element.clientWidth || clientWidth;
  }

  private zoom(factor: number, place = 0.5): void {
    this.window.zoom(factor, place);
    this.whole = true;
    this.paint();
  }

  private pan(share: number): void {
    this.window.pan(share);
    this.whole = true;
    this.paint();
  }

  private fit(): void {
    this.window.fit();
    this.whole = true;
    this.paint();
  }

  private laneAt(target: EventTarget | null): { lane: Lane; index: number } | null {
    const element = target instanceof Element ? target.closest<HTMLElement>('.wf-Lane') : null;
    const index = Number(element?.dataset.index ?? -1);
    const lane = this.lines.at(index);
    return element === null || lane === undefined ? null : { lane, index };
  }

  private select({ entry }: Lane): void {
    const { selected } = this.value!;
    this.pressed = entry.key;
    this.onSelect(entry.key === selected ? null : entry.key);
  }

  private toggle(lane: Lane): void {
    this.lanes.setOpen(lane.entry.key, !lane.open);
    this.paint();
  }

  private showTip(lane: Lane, element: Element | null, stretch: number | null, x: number): void {
    if (this.value === null || element === null) {
      return;
    }
    const own = this.element.getBoundingClientRect();
    const { bottom } = element.getBoundingClientRect();
    const start = lifeOf(this.value.tree, this.value.now).from;
    const text = tipText(lane, stretch, start, this.value.now);
    this.tip.show(text, x - own.left, bottom - own.top + 4, own.width);
  }

  private onKey(event: KeyboardEvent, index: number): boolean {
    const { key, shiftKey } = event;
    if (this.value === null) {
      return false;
    }
    if (key === '+' || key === '=') {
      this.zoom(FACTOR);
    } else if (key === '-' || key === '_') {
      this.zoom(1 / FACTOR);
    } else if (key === 'f' || key === '0') {
      this.fit();
    } else if (shiftKey && (key === 'ArrowLeft' || key === 'ArrowRight')) {
      this.pan(key === 'ArrowLeft' ? -STEP : STEP);
    } else if (key === 'Escape' && (!this.tip.element.hidden || this.value.selected !== null)) {
      this.onEscape();
    } else {
      const lane = this.lines.at(index);
      return index >= 0 && lane !== undefined && this.onLaneKey(key, lane, index);
    }
    return true;
  }

  private onEscape(): void {
    if (this.tip.element.hidden) {
      this.onSelect(null);
    } else {
      this.tip.hide();
    }
  }

  private onLaneKey(key: string, lane: Lane, index: number): boolean {
    if (key === 'Enter' || (key === ' ' && !lane.openable)) {
      this.select(lane);
    } else if (key === ' ' || (key === 'ArrowRight' && lane.openable && !lane.open)) {
      this.toggle(lane);
    } else if (key === 'ArrowRight' && lane.open) {
      this.list.go(index + 1);
    } else if (key === 'ArrowLeft' && lane.open) {
      this.toggle(lane);
    } else if (key === 'ArrowLeft') {
      const above = this.lines.slice(0, index).map(each => each.level < lane.level);
      this.list.go(Math.max(0, above.lastIndexOf(true)));
    } else {
      return false;
    }
    return true;
  }

  private readonly onClick = (event: MouseEvent): void => {
    const found = this.laneAt(event.target);
    if (found === null || this.drag?.moved === true) {
      return;
    }
    this.list.go(found.index);
    if (found.lane.openable && (event.target as Element).closest('.wf-Lane-twisty') !== null) {
      this.toggle(found.lane);
    } else {
      this.select(found.lane);
    }
  };

  /** Where the keyboard has gone the times are told as they are under the mouse. */
  private readonly onKeyUp = (event: KeyboardEvent): void => {
    const lane = this.list.active < 0 ? undefined : this.lines.at(this.list.active);
    if (lane !== undefined && WALKS.has(event.key) && !event.shiftKey) {
      const { left } = this.axis.element.getBoundingClientRect();
      this.showTip(lane, this.list.rowElement(lane.entry.key), null, left);
    }
  };

  private readonly onWheel = (event: WheelEvent): void => {
    const { left, width } = this.axis.element.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const place = width > 0 ? Math.min(1, Math.max(0, (event.clientX - left) / width)) : 0.5;
      this.zoom(Math.exp(-event.deltaY / 300), place);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && this.window.zoomed) {
      event.preventDefault();
      this.pan(event.deltaX / Math.max(1, width));
    }
  };

  private readonly onDown = (event: PointerEvent): void => {
    const onTrack = event.target instanceof Element && event.target.closest('.wf-Lane-track');
    this.drag =
      event.button === 0 && onTrack
        ? { id: event.pointerId, x: event.clientX, moved: false }
        : null;
  };

  private readonly onMove = (event: PointerEvent): void => {
    const { drag } = this;
    if (drag !== null && event.buttons !== 0) {
      const by = event.clientX - drag.x;
      if (this.window.zoomed && (drag.moved || Math.abs(by) >= 4)) {
        if (!drag.moved) {
          drag.moved = true;
          this.list.element.setPointerCapture?.(drag.id);
          this.tip.hide();
        }
        drag.x = event.clientX;
        this.pan(-by / Math.max(1, this.axis.element.clientWidth));
      }
      return;
    }
    const found = this.laneAt(event.target);
    const target = event.target as Element;
    if (found === null || target.closest('.wf-Lane-track') === null) {
      this.tip.hide();
      return;
    }
    const stretch = target.closest<HTMLElement>('.wf-Stretch')?.dataset.index;
    const at = stretch === undefined ? null : Number(stretch);
    this.showTip(found.lane, target.closest('.wf-Lane'), at, event.clientX + 10);
  };

  private readonly onUp = (): void => {
    if (this.drag?.moved !== true) {
      this.drag = null;
    }
  };

  private readonly onLeave = (): void => this.tip.hide();

  private readonly list: VirtualList<LaneView>;
  private readonly axis = drawAxis();
  private readonly tip = new Tip();
  private readonly lanes = new Lanes();
  private readonly keys: () => void;
  private readonly observer: ResizeObserver;
  private window = new TimeWindow();
  /** Whether all of the run's life is shown where nothing else is chosen. */
  private whole = false;
  private lines: readonly Lane[] = [];
  private value: TabView | null = null;
  private pressed: string | null = null;
  private drag: { id: number; x: number; moved: boolean } | null = null;
}
