import * as React from 'react';
import type { PolicyForm } from '../../model/policies';
import { Note, SelectField, TextField } from './Field';

const MISSED = [
  ['latest', 'Run the latest of them'],
  ['skip', 'Run none of them'],
  ['all', 'Run all of them']
] as const;
const OVERLAP = [
  ['queue', 'Wait for its turn'],
  ['skip', 'Skip the new run'],
  ['cancel_running', 'Cancel the one that runs'],
  ['allow', 'Run side by side']
] as const;
const CRASH = [
  ['fail', 'Leave it Crashed'],
  ['resume', 'Resume where it was']
] as const;
const snapshots = (pinned: boolean) =>
  [
    ['current', 'As it is at each run'],
    ['pinned', pinned ? 'As it was when it was pinned' : 'As it is now: pin it']
  ] as const;
const FORMATS = [
  ['ipynb', 'Notebook (.ipynb)'],
  ['html', 'Web page (.html)']
] as const;

/** The policies: how runs are made, executed and kept. */
export function PolicyFields(props: {
  policies: PolicyForm;
  faults: Partial<Record<string, string>>;
  /** Whether the notebook has been pinned before. */
  pinned: boolean;
  open: boolean;
  onToggle: (open: boolean) => void;
  onChange: (policies: PolicyForm) => void;
}): JSX.Element {
  const { policies, faults, pinned, open, onToggle, onChange } = props;
  const set = (changes: Partial<PolicyForm>): void => onChange({ ...policies, ...changes });
  const number = (
    name: keyof PolicyForm & string,
    label: string,
    hint?: string,
    placeholder?: string
  ): JSX.Element => (
    <TextField
      id={`jp-wf-${name}`}
      label={label}
      numeric={true}
      hint={hint}
      placeholder={placeholder}
      value={String(policies[name])}
      fault={faults[`policies.${name}`]}
      onChange={value => set({ [name]: value })}
    />
  );
  return (
    <details
      className="jp-WfForm-more"
      open={open}
      onToggle={event => onToggle(event.currentTarget.open)}
    >
      <summary>More</summary>
      <fieldset className="jp-WfForm-group">
        <legend>When things come in each other's way</legend>
        <div className="jp-WfForm-columns">
          <SelectField
            id="jp-wf-missed"
            label="Runs missed while the server was down"
            choices={MISSED}
            value={policies.missed}
            fault={faults['policies.missed']}
            onChange={missed => set({ missed })}
          />
          {policies.missed === 'all' && number('missed_limit', 'At most')}
          {number('grace', 'Late is missed after', 'Seconds, or 5m, 1h')}
          <SelectField
            id="jp-wf-overlap"
            label="While another run of it is open"
            choices={OVERLAP}
            value={policies.overlap}
            fault={faults['policies.overlap']}
            onChange={overlap => set({ overlap })}
          />
          {number('concurrency_limit', 'Runs at the same time', undefined, 'any number')}
        </div>
      </fieldset>
      <fieldset className="jp-WfForm-group">
        <legend>When things go wrong</legend>
        <div className="jp-WfForm-columns">
          {number('retries', 'Retries of a failed run')}
          {number('retry_delay', 'Time between them', 'Seconds, or 5m, 1h')}
          {number('timeout', 'Time-out of a run', 'Seconds, or 5m, 1h', 'none')}
          <SelectField
            id="jp-wf-on_crash"
            label="When its process dies"
            choices={CRASH}
            value={policies.on_crash}
            fault={faults['policies.on_crash']}
            onChange={on_crash => set({ on_crash })}
          />
          {number('max_consecutive_failures', 'Pause after failures in a row', undefined, 'never')}
        </div>
      </fieldset>
      <fieldset className="jp-WfForm-group">
        <legend>What is run, and what is kept</legend>
        <div className="jp-WfForm-columns">
          <SelectField
            id="jp-wf-snapshot"
            label="The notebook is run"
            choices={snapshots(pinned)}
            value={policies.snapshot}
            fault={faults['policies.snapshot']}
            onChange={snapshot => set({ snapshot })}
          />
          {number('keep_last', 'Keep the last runs', undefined, 'all')}
          {number('keep_days', 'Keep runs for days', undefined, 'for ever')}
          <TextField
            id="jp-wf-output"
            className="jp-mod-wide"
            label="Save the executed notebook as"
            code={true}
            placeholder="reports/{name}-{scheduled:%Y-%m-%d}.ipynb"
            hint="Relative to the notebook's folder; empty: with the run only"
            value={policies.output}
            fault={faults['policies.output']}
            onChange={output => set({ output })}
          />
          <Formats
            formats={policies.formats}
            fault={faults['policies.formats']}
            onChange={formats => set({ formats })}
          />
        </div>
      </fieldset>
    </details>
  );
}

function Formats(props: {
  formats: readonly string[];
  fault?: string;
  onChange: (formats: readonly string[]) => void;
}): JSX.Element {
  const { formats, fault, onChange } = props;
  return (
    <fieldset className="jp-WfField jp-WfField-checks jp-mod-wide" data-field="jp-wf-formats">
      <legend>Formats</legend>
      {FORMATS.map(([format, words]) => (
        <label key={format}>
          <input
            type="checkbox"
            checked={formats.includes(format)}
            onChange={event =>
              onChange(
                FORMATS.map(([each]) => each).filter(each =>
                  each === format ? event.target.checked : formats.includes(each)
                )
              )
            }
          />
          {words}
        </label>
      ))}
      <Note fault={fault} />
    </fieldset>
  );
}
