import * as React from 'react';
import { type RunFilter, STATE_CHOICES, type StateChoice } from '../model/filter';

const TYPING_PAUSE = 250;

/** What narrows the list: a type of state, and a text looked for in the names. */
export function FilterBar(props: {
  filter: RunFilter;
  onChange: (filter: RunFilter) => void;
}): JSX.Element {
  const { filter, onChange } = props;
  const [text, setText] = React.useState(filter.text);
  const latest = React.useRef({ filter, onChange });
  latest.current = { filter, onChange };
  // The filter may be changed elsewhere ("Show all").
  React.useEffect(() => setText(filter.text), [filter.text]);
  React.useEffect(() => {
    if (text === latest.current.filter.text) {
      return undefined;
    }
    const timer = window.setTimeout(
      () => latest.current.onChange({ ...latest.current.filter, text }),
      TYPING_PAUSE
    );
    return () => window.clearTimeout(timer);
  }, [text]);
  return (
    <div className="jp-WfFilter" role="search">
      <input
        className="jp-WfFilter-text"
        type="search"
        placeholder="Filter by name"
        aria-label="Filter runs by name"
        value={text}
        onChange={event => setText(event.target.value)}
      />
      <select
        className="jp-WfFilter-state"
        aria-label="Filter runs by state"
        value={filter.choice}
        onChange={event => onChange({ text, choice: event.target.value as StateChoice })}
      >
        {STATE_CHOICES.map(choice => (
          <option key={choice.id} value={choice.id}>
            {choice.label}
          </option>
        ))}
      </select>
    </div>
  );
}
