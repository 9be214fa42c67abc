import * as React from 'react';
import { plain } from '../../draw/text';
import type { PreviewState } from '../../model/scheduleSession';
import type { ScheduleForm, Unit, When } from '../../model/scheduleForm';
import { UNITS } from '../../model/scheduleForm';
import { offsetText, wallText } from '../../model/times';
import { Field, SelectField, TextField } from './Field';

const ZONES = 'jp-wf-zones';
const EXAMPLES = 'jp-wf-cron-examples';

const CRON_EXAMPLES = [
  ['0 6 * * *', 'every day at 06:00'],
  ['0 6 * * 1-5', 'Monday to Friday at 06:00'],
  ['*/15 * * * *', 'every 15 minutes'],
  ['0 8 * * 1', 'Mondays at 08:00'],
  ['30 2 1 * *', 'on the first of each month at 02:30']
] as const;

const LABELS: Record<When, string> = {
  now: 'Now',
  once: 'Once',
  every: 'Every',
  cron: 'Cron',
  none: 'By hand',
  keep: 'As it is'
};

/** What stands below the choice where it has no fields. */
const WORDS: Partial<Record<When, string>> = {
  now: 'Starts one run now with these parameters. Nothing is scheduled.',
  none: 'Has no schedule: it runs when somebody or something starts it.'
};

type Change = (changes: Partial<ScheduleForm>) => void;

/** When it runs: the choice, the fields of what is chosen, the zone, and the next times. */
export function WhenFields(props: {
  choices: readonly When[];
  form: ScheduleForm;
  kept: readonly string[];
  zones: readonly string[];
  faults: Partial<Record<string, string>>;
  preview: PreviewState;
  onChange: Change;
}): JSX.Element {
  const { choices, form, kept, zones, faults, preview, onChange } = props;
  const timed = form.when === 'once' || form.when === 'every' || form.when === 'cron';
  return (
    <fieldset className="jp-WfForm-group">
      <legend>When</legend>
      <div className="jp-WfChoices" role="radiogroup" aria-label="When">
        {choices.map(choice => (
          <label key={choice} className="jp-WfChoice" data-chosen={form.when === choice}>
            <input
              type="radio"
              name="jp-wf-when"
              value={choice}
              checked={form.when === choice}
              onChange={() => onChange({ when: choice })}
            />
            {LABELS[choice]}
          </label>
        ))}
      </div>
      {WORDS[form.when] !== undefined && <p className="jp-WfField-hint">{WORDS[form.when]}</p>}
      {form.when === 'keep' && <Kept words={kept} />}
      {kept.length > 0 && form.when !== 'keep' && (
        <p className="jp-WfField-hint jp-mod-warn">
          This takes the place of its schedules: {kept.map(plain).join('; ')}.
        </p>
      )}
      {timed && (
        <div className="jp-WfForm-columns">
          <TimeFields form={form} faults={faults} onChange={onChange} />
          <TextField
            id="jp-wf-timezone"
            label="Time zone"
            value={form.timezone}
            list={ZONES}
            fault={faults.timezone}
            onChange={timezone => onChange({ timezone })}
          />
          <datalist id={ZONES}>
            {zones.map(zone => (
              <option key={zone} value={zone} />
            ))}
          </datalist>
        </div>
      )}
      {timed && <Preview preview={preview} />}
    </fieldset>
  );
}

function Kept(props: { words: readonly string[] }): JSX.Element {
  return (
    <>
      <p className="jp-WfField-hint">Its schedules stay as they are:</p>
      <ul className="jp-WfForm-kept">
        {props.words.map((words, index) => (
          <li key={index}>{plain(words)}</li>
        ))}
      </ul>
    </>
  );
}

function TimeFields(props: {
  form: ScheduleForm;
  faults: Partial<Record<string, string>>;
  onChange: Change;
}): JSX.Element {
  const { form, faults, onChange } = props;
  if (form.when === 'once') {
    return (
      <Field id="jp-wf-at" label="Day and time" fault={faults.at}>
        {control => (
          <input
            {...control}
            type="datetime-local"
            value={form.at}
            onChange={event => onChange({ at: event.target.value })}
          />
        )}
      </Field>
    );
  }
  if (form.when === 'every') {
    return (
      <div className="jp-WfForm-pair">
        <TextField
          id="jp-wf-count"
          label="Interval"
          numeric={true}
          value={form.count}
          fault={faults.interval}
          onChange={count => onChange({ count })}
        />
        <SelectField<Unit>
          id="jp-wf-unit"
          label="Unit"
          value={form.unit}
          choices={UNITS.map(unit => [unit.id, unit.id] as const)}
          onChange={unit => onChange({ unit })}
        />
      </div>
    );
  }
  return (
    <>
      <TextField
        id="jp-wf-cron"
        label="Cron expression"
        code={true}
        list={EXAMPLES}
        value={form.cron}
        fault={faults.cron}
        hint="Minute, hour, day, month, weekday"
        onChange={cron => onChange({ cron })}
      />
      <datalist id={EXAMPLES}>
        {CRON_EXAMPLES.map(([cron, words]) => (
          <option key={cron} value={cron}>
            {words}
          </option>
        ))}
      </datalist>
    </>
  );
}

/** The schedule in words and its next times on the zone's clock, told to screen readers when they change. */
function Preview(props: { preview: PreviewState }): JSX.Element {
  const { answer, asking, failed } = props.preview;
  return (
    <div className="jp-WfPreview" role="status" aria-busy={asking} data-asking={asking}>
      {failed !== null && <p>The next times can't be told: {plain(failed)}</p>}
      {failed === null && answer === null && <p>Looking for the next times…</p>}
      {failed === null && answer !== null && !answer.ok && <p>No times: see above.</p>}
      {failed === null && answer?.ok && (
        <>
          <p className="jp-WfPreview-words">{plain(answer.words)}</p>
          {answer.next.length === 0 ? (
            <p>There is no time left at which it would run.</p>
          ) : (
            <ol aria-label={`Next times, ${answer.timezone}`}>
              {answer.next.map(time => (
                <li key={time}>
                  <time dateTime={time}>{wallText(time)}</time> <span>{offsetText(time)}</span>
                </li>
              ))}
            </ol>
          )}
        </>
      )}
    </div>
  );
}
