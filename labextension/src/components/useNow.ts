import * as React from 'react';

/** The time (ms since the epoch), anew each `interval` ms while the component is shown. */
export function useNow(interval: number): number {
  const [now, setNow] = React.useState(() => Date.now());
  React.useEffect(() => {
    setNow(Date.now());
    const timer = window.setInterval(() => setNow(Date.now()), interval);
    return () => window.clearInterval(timer);
  }, [interval]);
  return now;
}

/** How often times are painted anew: each second while something runs, else each 20 s (for "2 min ago"). */
export function tickFor(live: boolean): number {
  return live ? 1000 : 20_000;
}
