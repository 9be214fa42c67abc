import * as React from 'react';
import type { LogJSON } from '../api/schema';
import { plain } from '../draw/text';
import { formatClock, formatMoment } from '../draw/time';

/** How many log lines are in the DOM at once. */
export const LOG_WINDOW = 400;
const STEP = 300;
const LEVELS: readonly (readonly [number, string])[] = [
  [0, 'All levels'],
  [20, 'Info and above'],
  [30, 'Warnings and above'],
  [40, 'Errors']
];
const NAMES: readonly (readonly [number, string])[] = [
  [50, 'CRITICAL'],
  [40, 'ERROR'],
  [30, 'WARNING'],
  [20, 'INFO'],
  [0, 'DEBUG']
];

/** The standard library's name of a log level. */
export function levelName(level: number): string {
  return NAMES.find(([from]) => level >= from)?.[1] ?? 'DEBUG';
}

/** Log lines as plain text. It follows the newest line until the reader scrolls up. */
export function LogView(props: {
  lines: readonly LogJSON[];
  dropped: boolean;
  names: ReadonlyMap<string, string>;
  /** The name of the row that the log is narrowed to, or null. */
  of: string | null;
  onShowAll: () => void;
}): JSX.Element {
  const { dropped, names, of, onShowAll } = props;
  const [level, setLevel] = React.useState(0);
  const [follow, setFollow] = React.useState(true);
  const [from, setFrom] = React.useState(0);
  const box = React.useRef<HTMLDivElement>(null);
  const lines = React.useMemo(
    () => (level === 0 ? props.lines : props.lines.filter(line => line.level >= level)),
    [props.lines, level]
  );
  const newest = Math.max(0, lines.length - LOG_WINDOW);
  const first = follow ? newest : Math.min(from, newest);
  const last = Math.min(lines.length, first + LOG_WINDOW);

  React.useLayoutEffect(() => {
    if (follow && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [follow, lines]);

  const show = (start: number): void => {
    setFollow(false);
    setFrom(Math.max(0, start));
  };
  const onScroll = (): void => {
    const node = box.current;
    if (node) {
      const atEnd = node.scrollTop + node.clientHeight >= node.scrollHeight - 8;
      if (follow && !atEnd) {
        show(first);
      } else if (!follow && atEnd && last === lines.length) {
        setFollow(true);
      }
    }
  };
  return (
    <section className="jp-WfLogs" aria-label="Logs">
      <div className="jp-WfLogs-bar">
        <h3>{of === null ? 'Logs' : `Logs of ${plain(of)}`}</h3>
        {of !== null && (
          <button type="button" className="wf-Button" onClick={onShowAll}>
            Show all
          </button>
        )}
        <span className="jp-WfSpacer" />
        <select
          className="jp-WfLogs-level"
          aria-label="Log level"
          value={level}
          onChange={event => setLevel(Number(event.target.value))}
        >
          {LEVELS.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <label className="jp-WfLogs-follow">
          <input
            type="checkbox"
            checked={follow}
            onChange={event => (event.target.checked ? setFollow(true) : show(first))}
          />
          Follow
        </label>
      </div>
      <div
        className="jp-WfLogs-lines"
        role="log"
        aria-live="off"
        tabIndex={0}
        ref={box}
        onScroll={onScroll}
      >
        {first > 0 ? (
          <button type="button" className="wf-Button" onClick={() => show(first - STEP)}>
            Show older lines ({first})
          </button>
        ) : (
          dropped && <p className="jp-WfLogs-note">Older lines are not loaded.</p>
        )}
        {lines.length === 0 && <p className="jp-WfLogs-note">No log lines.</p>}
        {lines.slice(first, last).map(line => (
          <div key={line.seq} className="jp-WfLog" data-level={levelName(line.level)}>
            <time dateTime={line.at} title={formatMoment(line.at)}>
              {formatClock(line.at)}
            </time>
            <span className="jp-WfLog-level">{levelName(line.level)}</span>
            <span className="jp-WfLog-run">{plain(names.get(line.run_id) ?? '')}</span>
            <span className="jp-WfLog-text">{plain(line.message)}</span>
          </div>
        ))}
        {last < lines.length && (
          <button type="button" className="wf-Button" onClick={() => show(first + STEP)}>
            Show newer lines ({lines.length - last})
          </button>
        )}
      </div>
    </section>
  );
}
