import * as React from 'react';

/** A switch as JupyterLab draws them; `label` is for those who do not see it. */
export function Switch(props: {
  on: boolean;
  busy: boolean;
  label: string;
  title: string;
  onChange: (on: boolean) => void;
}): JSX.Element {
  const { on, busy, label, title, onChange } = props;
  return (
    <button
      type="button"
      className="jp-switch jp-WfSwitch"
      role="switch"
      aria-checked={on}
      aria-label={label}
      aria-busy={busy}
      title={title}
      onClick={() => onChange(!on)}
    >
      <span className="jp-switch-track" aria-hidden="true" />
    </button>
  );
}
