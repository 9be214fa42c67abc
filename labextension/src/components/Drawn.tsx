import * as React from 'react';
import type { Drawing } from '../draw/drawing';

/** A framework-free drawing inside React: made once, then changed in place. `draw` must not change. */
export function Drawn<T>(props: {
  draw: () => Drawing<T>;
  value: T;
  className?: string;
}): JSX.Element {
  const { draw, value, className } = props;
  const host = React.useRef<HTMLSpanElement>(null);
  const drawing = React.useRef<Drawing<T> | null>(null);
  React.useLayoutEffect(() => {
    if (drawing.current === null) {
      drawing.current = draw();
      host.current?.append(drawing.current.element);
    }
    drawing.current.update(value);
  });
  return <span ref={host} className={className ?? 'jp-WfDrawn'} />;
}
