import * as React from 'react';

/** The time (ms since the epoch), anew each `interval` ms while the component is shown. */
export function useNow(interval: number): number {
  const [, tick] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const timer = window.setInterval(tick, interval);
    return () => window.clearInterval(timer);
  }, [interval]);
  // Read anew at each painting: what has just begun must not lie in the future.
  return Date.now();
}

/** How often times are painted anew: each second while something runs, else each 20 s (for "2 min ago"). */
export function tickFor(live: boolean): number {
  return live ? 1000 : 20_000;
}
