import * as React from 'react';
import { newMemory, Screen, type ScreenOptions } from '../draw/screen';
import type { TreeModel } from '../model/treeModel';

/** The shared screen of a run inside React: made once, painted after each rendering. `options` must not change. */
export function RunScreen(props: {
  model: TreeModel;
  options: Omit<ScreenOptions, 'memory'>;
}): JSX.Element {
  const { model, options } = props;
  const host = React.useRef<HTMLDivElement>(null);
  const screen = React.useRef<Screen | null>(null);
  const latest = React.useRef(options);
  React.useLayoutEffect(() => {
    const made = new Screen(model, { ...latest.current, memory: newMemory() });
    screen.current = made;
    host.current?.append(made.element);
    return () => {
      screen.current = null;
      made.dispose();
      made.element.remove();
    };
  }, [model]);
  React.useLayoutEffect(() => screen.current?.invalidate());
  return <div ref={host} className="jp-WfRunScreen" />;
}
