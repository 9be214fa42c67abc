// What jsdom has not and JupyterLab's packages or our components expect.
import { TextDecoder, TextEncoder } from 'node:util';

class FakeDragEvent extends Event {}

class FakeResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

window.matchMedia = query =>
  ({
    matches: false,
    media: query,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    addListener: () => undefined,
    removeListener: () => undefined
  }) as unknown as MediaQueryList;

Object.assign(globalThis, {
  TextDecoder,
  TextEncoder,
  ResizeObserver: FakeResizeObserver,
  requestIdleCallback: (callback: () => void) => setTimeout(callback, 0),
  DragEvent: FakeDragEvent,
  IS_REACT_ACT_ENVIRONMENT: true
});
