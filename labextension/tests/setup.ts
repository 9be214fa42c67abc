// What jsdom has not and JupyterLab's packages or our components expect.
import { TextDecoder, TextEncoder } from 'node:util';

class FakeDragEvent extends Event {}

Object.assign(globalThis, {
  TextDecoder,
  TextEncoder,
  DragEvent: FakeDragEvent,
  IS_REACT_ACT_ENVIRONMENT: true
});
