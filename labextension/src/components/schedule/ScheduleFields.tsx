import * as React from 'react';
import { plain } from '../../draw/text';
import type { Faults } from '../../model/parameters';
import type { ScheduleForm } from '../../model/scheduleForm';
import type { SessionView } from '../../model/scheduleSession';
import { TextField, SelectField } from './Field';
import { ParameterForm } from './ParameterForm';
import { PolicyFields } from './PolicyFields';
import { WhenFields } from './WhenFields';

/** How the notebook gets parameters, for those whose notebook has none. */
export const NO_PARAMETERS =
  'This notebook has no parameters. To get some, assign them in one cell (year = 2026) and give that cell the tag ' +
  '“parameters”, in the property inspector (the gear wheels at the right).';

function under(prefix: string, faults: Readonly<Record<string, string>>): Faults {
  return Object.fromEntries(
    Object.entries(faults)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, fault]) => [name.slice(prefix.length), fault])
  );
}

/** The whole form of a schedule. */
export function ScheduleFields(props: {
  view: SessionView;
  onChange: (changes: Partial<ScheduleForm>) => void;
  onChangeExisting: () => void;
}): JSX.Element {
  const { view, onChange, onChangeExisting } = props;
  const { subject, form, faults, existing, problem } = view;
  const policyIsWrong = Object.keys(faults).some(name => name.startsWith('policies.'));
  const [more, setMore] = React.useState(false);
  const scheduled = form.when !== 'now';
  const kept =
    subject.deployment !== null && view.choices.includes('keep')
      ? subject.deployment.schedules.map(schedule => schedule.words)
      : [];
  return (
    <div className="jp-WfForm" aria-busy={view.busy}>
      {problem !== null && (
        <div className="jp-WfForm-problem" role="alert">
          {plain(problem)}
        </div>
      )}
      {subject.form?.problems.map((text, index) => (
        <p key={index} className="jp-WfForm-warning">
          {plain(text)}
        </p>
      ))}
      {scheduled && <NameField view={view} onChange={onChange} onTakeOver={onChangeExisting} />}
      <WhenFields
        choices={view.choices}
        form={form}
        kept={kept}
        zones={subject.form?.timezones ?? []}
        faults={faults}
        preview={view.preview}
        onChange={onChange}
      />
      <fieldset className="jp-WfForm-group">
        <legend>Parameters</legend>
        {subject.fields.names.length > 0 ? (
          <ParameterForm
            fields={subject.fields}
            data={form.parameters}
            faults={under('parameters.', faults)}
            onChange={parameters => onChange({ parameters })}
          />
        ) : (
          <p className="jp-WfField-hint">
            {subject.form === null
              ? 'They stay as they are: there is no notebook here that says which there are.'
              : NO_PARAMETERS}
          </p>
        )}
      </fieldset>
      {scheduled && subject.form !== null && <KernelField view={view} onChange={onChange} />}
      {scheduled && existing === null && (
        <PolicyFields
          policies={form.policies}
          faults={faults}
          pinned={subject.deployment?.policies.snapshot === 'pinned'}
          open={more || policyIsWrong}
          onToggle={setMore}
          onChange={policies => onChange({ policies })}
        />
      )}
      <Missing faults={faults} />
    </div>
  );
}

/** Says, always in sight, why the button can't be pressed. */
function Missing(props: { faults: Readonly<Record<string, string>> }): JSX.Element {
  const names = Object.keys(props.faults).map(name =>
    name.replace(/^(parameters|policies)\./, '').replace(/_/g, ' ')
  );
  return (
    <div className="jp-WfForm-missing" role="status">
      {names.length > 0 && `To be mended first: ${names.map(plain).join(', ')}`}
    </div>
  );
}

function NameField(props: {
  view: SessionView;
  onChange: (changes: Partial<ScheduleForm>) => void;
  onTakeOver: () => void;
}): JSX.Element {
  const { view, onChange, onTakeOver } = props;
  const { existing } = view;
  return (
    <>
      <TextField
        id="jp-wf-name"
        label="Name"
        value={view.form.name}
        fault={
          existing === null
            ? view.faults.name
            : `This notebook has a schedule of this name already: ${words(existing.schedules)}.`
        }
        onChange={name => onChange({ name })}
      />
      {existing !== null && (
        <button type="button" className="jp-WfForm-takeOver wf-Button" onClick={onTakeOver}>
          Change that one
        </button>
      )}
    </>
  );
}

const words = (schedules: readonly { words: string }[]): string =>
  schedules.map(schedule => schedule.words).join('; ') || 'it is started by hand';

function KernelField(props: {
  view: SessionView;
  onChange: (changes: Partial<ScheduleForm>) => void;
}): JSX.Element {
  const { view, onChange } = props;
  const { form: facts } = view.subject;
  const kernels = facts?.kernels ?? [];
  const nameFor = (name: string): string =>
    kernels.find(kernel => kernel.name === name)?.display_name ?? name;
  const own = facts?.kernel
    ? `The notebook's own (${nameFor(facts.kernel)})`
    : "The notebook's own";
  const chosen = view.form.kernel;
  const missing = chosen !== '' && !kernels.some(kernel => kernel.name === chosen);
  return (
    <SelectField
      id="jp-wf-kernel"
      label="Kernel"
      value={chosen}
      choices={[
        ['', own],
        ...kernels.map(kernel => [kernel.name, nameFor(kernel.name)] as const),
        ...(missing ? [[chosen, `${chosen} (not installed)`] as const] : [])
      ]}
      fault={view.faults.kernel}
      onChange={kernel => onChange({ kernel })}
    />
  );
}
