import type { Rect } from './layout';
import type { Size } from './place';

const LEAST = 0.05;
const MOST = 2.5;
const MARGIN = 12;
/** The room (px) at the right that the buttons take. */
const TOOLS = 44;
/** What a page that is not laid out yet is taken for. */
const UNKNOWN: Size = { width: 800, height: 300 };

/** Which part of a plane is seen: `scene` is moved and scaled within `view`. */
export class Camera {
  /** Whether somebody has chosen what to see; until then everything is shown. */
  chosen = false;
  private x = 0;
  private y = 0;
  private scale = 1;
  private drag: { id: number; x: number; y: number; moved: boolean } | null = null;

  constructor(
    private readonly view: HTMLElement,
    private readonly scene: HTMLElement
  ) {
    view.addEventListener('wheel', this.onWheel, { passive: false });
    view.addEventListener('pointerdown', this.onDown);
    view.addEventListener('pointermove', this.onMove);
    view.addEventListener('pointerup', this.onUp);
    view.addEventListener('pointercancel', this.onUp);
  }

  get size(): Size {
    const { clientWidth, clientHeight } = this.view;
    return { width: clientWidth || UNKNOWN.width, height: clientHeight || UNKNOWN.height };
  }

  /** What is left for the plane. */
  private get room(): Size {
    const { width, height } = this.size;
    return { width: Math.max(1, width - MARGIN - TOOLS), height: Math.max(1, height - 2 * MARGIN) };
  }

  /** Whether the last press of the mouse moved the plane: then it was no click. */
  get dragged(): boolean {
    return this.drag?.moved ?? false;
  }

  /** How high the view has to be to show a plane as wide as there is room, but not smaller than `least`; in px. */
  heightFor({ width, height }: Size, least: number): number {
    const scale = Math.min(1, Math.max(least, this.room.width / Math.max(1, width)));
    return height * scale + 2 * MARGIN;
  }

  /**
   * Show a whole plane, but not smaller than `least` and never enlarged. Where there is no room for all of it, `first`
   * is in the middle, or as near to it as leaves no room empty.
   */
  fit(plane: Size, least = LEAST, first: Rect = { x: 0, y: 0, width: 0, height: 0 }): void {
    const { width, height } = this.room;
    const whole = Math.min(width / Math.max(1, plane.width), height / Math.max(1, plane.height), 1);
    this.scale = Math.max(whole, least);
    const shift = (room: number, length: number, middle: number): number => {
      const taken = length * this.scale;
      return taken <= room
        ? (room - taken) / 2
        : Math.min(0, Math.max(room - taken, room / 2 - middle * this.scale));
    };
    this.x = MARGIN + shift(width, plane.width, first.x + first.width / 2);
    this.y = MARGIN + shift(height, plane.height, first.y + first.height / 2);
    this.apply();
  }

  /** Enlarge by a factor about a point of the view, by default its middle. */
  zoom(factor: number, x = this.size.width / 2, y = this.size.height / 2): void {
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.choose();
  }

  /** Move the plane by so many px. */
  pan(x: number, y: number): void {
    this.x += x;
    this.y += y;
    this.choose();
  }

  /** Move as little as possible so that a part of the plane is in sight. */
  reveal(rect: Rect): void {
    const { width, height } = this.size;
    const shift = (start: number, length: number, room: number): number => {
      const end = start + length;
      if (start < MARGIN || length > room) {
        return MARGIN - start;
      }
      return end > room - MARGIN ? room - MARGIN - end : 0;
    };
    const x = shift(this.x + rect.x * this.scale, rect.width * this.scale, width);
    const y = shift(this.y + rect.y * this.scale, rect.height * this.scale, height);
    if (x !== 0 || y !== 0) {
      this.pan(x, y);
    }
  }

  dispose(): void {
    const { view } = this;
    view.removeEventListener('wheel', this.onWheel);
    view.removeEventListener('pointerdown', this.onDown);
    view.removeEventListener('pointermove', this.onMove);
    view.removeEventListener('pointerup', this.onUp);
    view.removeEventListener('pointercancel', this.onUp);
  }

  private choose(): void {
    this.chosen = true;
    this.apply();
  }

  private apply(): void {
    const at = (value: number): string => value.toFixed(1);
    this.scene.style.transform = `translate(${at(this.x)}px, ${at(this.y)}px) scale(${this.scale.toFixed(4)})`;
  }

  private readonly onWheel = (event: WheelEvent): void => {
    // The wheel alone scrolls the page, which a drawing must not swallow.
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const { left, top } = this.view.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 300), event.clientX - left, event.clientY - top);
    }
  };

  private readonly onDown = (event: PointerEvent): void => {
    if (event.button === 0) {
      this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, moved: false };
    }
  };

  private readonly onMove = (event: PointerEvent): void => {
    const { drag } = this;
    if (drag === null || event.buttons === 0) {
      return;
    }
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(x, y) < 4) {
      return;
    }
    if (!drag.moved) {
      drag.moved = true;
      this.view.setPointerCapture?.(drag.id);
      this.view.dataset.dragged = 'true';
    }
    [drag.x, drag.y] = [event.clientX, event.clientY];
    this.pan(x, y);
  };

  private readonly onUp = (): void => {
    delete this.view.dataset.dragged;
  };
}
