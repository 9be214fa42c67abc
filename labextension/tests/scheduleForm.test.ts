import {
  changedNames,
  formData,
  parameterFields,
  type ParameterFields,
  readForm
} from '../src/model/parameters';
import {
  numberFault,
  NUMBERS,
  policyFaults,
  policyForm,
  readPolicies
} from '../src/model/policies';
import {
  bodyOf,
  openForm,
  ownFaults,
  sortErrors,
  specOf,
  type Subject
} from '../src/model/scheduleForm';
import { offsetText, wallClock, wallText } from '../src/model/times';
import { aDeployment, aForm, aSchedule } from './fixtures';

const SCHEMA = {
  type: 'object',
  properties: {
    year: { type: 'integer' },
    ratio: { type: 'number' },
    city: { type: 'string', description: 'Where it rains' },
    verbose: { type: 'boolean' },
    mode: { enum: ['fast', 'slow'] },
    cities: { type: 'array', items: { type: 'string' } },
    options: { type: 'object' },
    limit: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
    since: { type: 'string', format: 'date-time' },
    anything: {},
    token: { type: 'string', format: 'password', writeOnly: true },
    pin_token: { type: 'integer', writeOnly: true }
  },
  required: ['token']
};
const DEFAULTS = {
  year: 2012,
  ratio: 0.5,
  city: 'Oslo',
  verbose: true,
  mode: 'fast',
  cities: ['Oslo'],
  options: { a: 1 },
  limit: null
};
const fields: ParameterFields = parameterFields(SCHEMA, DEFAULTS);

function subject(changes: Partial<Subject> = {}): Subject {
  const form = aForm();
  const own = parameterFields(form.schema, form.defaults);
  return { path: 'folder/quick.ipynb', form, fields: own, deployment: null, ...changes };
}

const NOON = Date.UTC(2026, 0, 31, 12, 20);

describe('the fields of parameters', () => {
  it('are typed; what has no field of its own is a text with JSON', () => {
    const types = Object.fromEntries(fields.names.map(name => [name, fields.kinds[name].type]));
    expect(types).toEqual({
      year: 'number',
      ratio: 'number',
      city: 'text',
      verbose: 'boolean',
      mode: 'choice',
      cities: 'list',
      options: 'json',
      limit: 'number',
      since: 'text',
      anything: 'json',
      token: 'text',
      pin_token: 'json'
    });
    expect(fields.kinds.limit.nullable).toBe(true);
    expect(fields.uiSchema.token).toMatchObject({ 'ui:widget': 'password' });
    expect(fields.uiSchema.pin_token).toMatchObject({ 'ui:widget': 'password' });
  });

  it('show the defaults, and give back only what is not the default', () => {
    const data = formData(fields, {});
    expect(data).toMatchObject({ year: 2012, cities: ['Oslo'], options: '{"a":1}' });
    expect(readForm(fields, { ...data, token: 'x' }, {})).toEqual({
      parameters: { token: 'x' },
      faults: {}
    });
    const typed = { ...data, token: 'x', year: 2013, options: '{"b": [2]}', limit: 3 };
    expect(readForm(fields, typed, {}).parameters).toEqual({
      token: 'x',
      year: 2013,
      options: { b: [2] },
      limit: 3
    });
    expect([...changedNames(fields, typed)]).toEqual(['year', 'options', 'limit']);
  });

  it('send a masked secret back as it was shown', () => {
    const given = { token: '***', pin_token: '***' };
    expect(readForm(fields, formData(fields, given), given).parameters).toEqual(given);
  });

  it('keep what was given before, also what they do not know', () => {
    const given = { year: 2012, gone: 7, token: 'x' };
    const { parameters } = readForm(fields, formData(fields, given), given);
    expect(parameters).toEqual(given);
  });

  it('say what can not be', () => {
    const data = { ...formData(fields, {}), year: undefined, options: '{', city: '' };
    const { faults, parameters } = readForm(fields, data, {});
    expect(Object.keys(faults).sort()).toEqual(['options', 'token', 'year']);
    expect(faults.options).toMatch(/^Not JSON/);
    expect(faults.token).toContain('no default');
    expect(parameters).toEqual({ city: '' });
  });

  it('take an empty field whose default is not shown for the default of the notebook', () => {
    const given = { token: 'x', pin_token: '***', since: '2026-01-31' };
    const data = { ...formData(fields, given), pin_token: '', since: '' };
    expect(readForm(fields, data, given)).toEqual({ parameters: { token: 'x' }, faults: {} });
  });

  it('take an empty field of an optional parameter as none', () => {
    const own = parameterFields(SCHEMA, { ...DEFAULTS, limit: 5 });
    const data = { ...formData(own, { token: 'x' }), limit: undefined };
    expect(readForm(own, data, {}).parameters).toMatchObject({ limit: null });
  });
});

describe('policies', () => {
  it('come back as they were, with what the form does not know', () => {
    const before = { retries: 2, timeout: null, deadline: 60, formats: ['html'] };
    const read = readPolicies(policyForm(before), before);
    expect(read).toMatchObject({ ...before, missed: 'latest', concurrency_limit: 1, grace: 60 });
  });

  it('take empty numbers as none or the default, and times as texts', () => {
    const form = { ...policyForm(), concurrency_limit: '', retries: ' ', timeout: '15m' };
    expect(readPolicies(form)).toMatchObject({
      concurrency_limit: null,
      retries: 0,
      timeout: '15m'
    });
  });

  it.each([
    ['2', null],
    ['', null],
    ['2.5', 'Give a whole number.'],
    ['-1', 'Give 0 or more.'],
    ['two', '"two" is not a number.']
  ])('%p retries: %p', (text, fault) => {
    expect(numberFault(text, NUMBERS.retries)).toBe(fault);
  });

  it('need a format', () => {
    expect(policyFaults({ ...policyForm(), formats: [] })).toEqual({
      'policies.formats': 'Choose one at least.'
    });
  });
});

describe('the form of a schedule', () => {
  it('opens with the name of the notebook, the zone of the browser, and the next full hour', () => {
    const form = openForm(subject(), NOON, 'Europe/Oslo');
    expect(form).toMatchObject({ name: 'quick', timezone: 'Europe/Oslo', at: '2026-01-31T14:00' });
  });

  it('says each kind of schedule', () => {
    const form = { ...openForm(subject(), NOON, 'UTC'), count: '15' };
    const specs = (['once', 'every', 'cron', 'now'] as const).map(when =>
      specOf({ ...form, when, unit: 'minutes', cron: ' 0 7 * * * ' })
    );
    expect(specs).toEqual([
      { at: '2026-01-31T13:00', timezone: 'UTC' },
      { interval: 900, timezone: 'UTC' },
      { cron: '0 7 * * *', timezone: 'UTC' },
      null
    ]);
  });

  it('makes a deployment of it', () => {
    const form = openForm(subject(), NOON, 'UTC');
    const body = bodyOf(subject(), { ...form, name: ' nightly ', kernel: 'python3' });
    expect(body).toMatchObject({
      name: 'nightly',
      path: 'folder/quick.ipynb',
      parameters: {},
      kernel: 'python3',
      schedules: [{ spec: { cron: '0 6 * * *', timezone: 'UTC' } }]
    });
  });

  it('says what is missing', () => {
    const form = { ...openForm(subject(), NOON, 'UTC'), name: ' ' };
    expect(ownFaults(subject(), form)).toHaveProperty('name');
    expect(ownFaults(subject(), { ...form, when: 'now' })).toEqual({});
    expect(ownFaults(subject(), { ...form, when: 'every', count: '0' })).toHaveProperty('interval');
    expect(ownFaults(subject(), { ...form, when: 'once', at: '' })).toHaveProperty('at');
  });

  it('leaves the schedule of a deployment alone where it says the same', () => {
    const { deployment } = aDeployment('d', { parameters: { year: 2014 } });
    const about = subject({ deployment });
    const form = openForm(about, NOON, 'UTC');
    expect(form).toMatchObject({ when: 'cron', cron: '0 6 * * *', timezone: 'Europe/Oslo' });
    expect(form.parameters.year).toBe(2014);
    const body = bodyOf(about, { ...form, name: 'other' });
    expect(body).not.toHaveProperty('schedules');
    expect(body).not.toHaveProperty('path');
    expect(body).toMatchObject({ name: 'other', parameters: { year: 2014 } });
  });

  it('changes the schedule of a deployment and keeps its bounds', () => {
    const schedules = [aSchedule({ jitter: 5, max_runs: 3, parameters: { year: 1 } })];
    const about = subject({ deployment: aDeployment('d', { schedules }).deployment });
    const form = { ...openForm(about, NOON, 'UTC'), cron: '0 7 * * *' };
    expect(bodyOf(about, form).schedules).toEqual([
      {
        id: 'schedule',
        slug: null,
        spec: { cron: '0 7 * * *', timezone: 'Europe/Oslo' },
        parameters: { year: 1 },
        active: true,
        start_at: null,
        end_at: null,
        max_runs: 3,
        jitter: 5
      }
    ]);
    expect(bodyOf(about, { ...form, when: 'none' }).schedules).toEqual([]);
  });

  it('keeps several schedules, and rules that it can not show, as they are', () => {
    const two = [aSchedule(), aSchedule({ id: 'other' })];
    const rule = [aSchedule({ spec: { rrule: 'FREQ=DAILY', timezone: 'UTC' } })];
    for (const schedules of [two, rule]) {
      const about = subject({ deployment: aDeployment('d', { schedules }).deployment });
      const form = openForm(about, NOON, 'UTC');
      expect(form.when).toBe('keep');
      expect(bodyOf(about, form)).not.toHaveProperty('schedules');
      expect(bodyOf(about, { ...form, when: 'cron' }).schedules).toHaveLength(1);
    }
  });

  it('reads intervals in the largest unit that fits', () => {
    const schedules = [aSchedule({ spec: { interval: 7200, timezone: 'UTC' } })];
    const about = subject({ deployment: aDeployment('d', { schedules }).deployment });
    expect(openForm(about, NOON, 'UTC')).toMatchObject({
      when: 'every',
      count: '2',
      unit: 'hours'
    });
  });

  it("puts the server's errors beside their fields", () => {
    const { faults, rest } = sortErrors(
      [
        { field: 'schedules.0.cron', message: 'five fields' },
        { field: 'parameters.year', message: 'a whole number' },
        { field: 'policies.retries', message: 'too many' },
        { field: 'tags', message: 'too long' },
        { field: 'parameters.other', message: 'no such parameter' }
      ],
      subject().fields
    );
    expect(faults).toEqual({
      cron: 'five fields',
      'parameters.year': 'a whole number',
      'policies.retries': 'too many'
    });
    expect(rest).toEqual(['tags: too long', 'parameters.other: no such parameter']);
  });
});

describe('times', () => {
  it('are those of the wall clock in the zone', () => {
    expect(wallClock(NOON, 'Asia/Kathmandu')).toBe('2026-01-31T18:05');
    expect(wallText('2026-01-31T14:00:00+01:00')).toBe('Sat 2026-01-31 14:00');
    expect(wallText('2026-01-31T14:00:30+01:00')).toBe('Sat 2026-01-31 14:00:30');
    expect(offsetText('2026-01-31T14:00:00+05:45')).toBe('UTC+05:45');
    expect(offsetText('2026-01-31T14:00:00Z')).toBe('UTC');
  });
});
