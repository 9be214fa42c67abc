import type {
  DeploymentJSON,
  FieldErrorJSON,
  NotebookFormJSON,
  PoliciesJSON,
  SaveDeploymentJSON,
  SaveScheduleJSON,
  ScheduleJSON
} from '../api/schema';
import { type FormData, formData, type ParameterFields, readForm } from './parameters';
import { type PolicyForm, policyFaults, policyForm, readPolicies } from './policies';
import { browserZone, wallClock } from './times';

/** `none`: only when somebody starts it; `keep`: the schedules that are there stay as they are. */
export type When = 'now' | 'once' | 'every' | 'cron' | 'none' | 'keep';

export const UNITS = [
  { id: 'minutes', seconds: 60 },
  { id: 'hours', seconds: 3600 },
  { id: 'days', seconds: 86_400 },
  { id: 'weeks', seconds: 604_800 },
  { id: 'seconds', seconds: 1 }
] as const;

export type Unit = (typeof UNITS)[number]['id'];

const HOUR = 3_600_000;

/** The form of "Schedule notebook…" as it is typed. */
export interface ScheduleForm {
  readonly name: string;
  readonly parameters: FormData;
  /** A kernelspec's name, empty for the notebook's own. */
  readonly kernel: string;
  readonly when: When;
  readonly at: string;
  readonly count: string;
  readonly unit: Unit;
  readonly cron: string;
  readonly timezone: string;
  readonly policies: PolicyForm;
}

/** What the form is about: it does not change while the dialog is open, except where another deployment is chosen. */
export interface Subject {
  /** The notebook below the server's root; null for what the server can't give a form for. */
  readonly path: string | null;
  readonly form: NotebookFormJSON | null;
  readonly fields: ParameterFields;
  /** The deployment that is changed, null for a new one. */
  readonly deployment: DeploymentJSON | null;
}

/** The schedule that the form can show in its own fields: the only one of the deployment, of a kind that it knows. */
export function editable(deployment: DeploymentJSON | null): ScheduleJSON | null {
  const [only, ...others] = deployment?.schedules ?? [];
  const known = only !== undefined && ['cron', 'interval', 'at'].some(key => key in only.spec);
  return known && others.length === 0 ? only : null;
}

function unitOf(seconds: number): { count: string; unit: Unit } {
  const fitting = [...UNITS].sort((a, b) => b.seconds - a.seconds);
  const found = fitting.find(unit => seconds % unit.seconds === 0) ?? UNITS[UNITS.length - 1];
  return { count: String(seconds / found.seconds), unit: found.id };
}

/** The form as it opens: for a new schedule of a notebook, or for a deployment that is to be changed. */
export function openForm(subject: Subject, now: number, zone = browserZone()): ScheduleForm {
  const { deployment, fields, form } = subject;
  const timezone = editable(deployment)?.timezone ?? zone;
  const nextHour = Math.floor(now / HOUR) * HOUR + HOUR;
  const blank: ScheduleForm = {
    name: nameOf(form?.path ?? subject.path ?? ''),
    parameters: formData(fields, {}),
    kernel: '',
    when: 'cron',
    at: wallClock(nextHour, timezone),
    count: '1',
    unit: 'hours',
    cron: '0 6 * * *',
    timezone,
    policies: policyForm()
  };
  if (deployment === null) {
    return blank;
  }
  return {
    ...blank,
    name: deployment.name,
    parameters: formData(fields, deployment.parameters),
    kernel: deployment.kernel ?? '',
    policies: policyForm(deployment.policies),
    ...whenOf(deployment)
  };
}

function whenOf(deployment: DeploymentJSON): Partial<ScheduleForm> {
  const schedule = editable(deployment);
  if (schedule === null) {
    return { when: deployment.schedules.length > 0 ? 'keep' : 'none' };
  }
  const { cron, interval, at } = schedule.spec;
  if (typeof cron === 'string') {
    return { when: 'cron', cron };
  }
  if (typeof interval === 'number') {
    return { when: 'every', ...unitOf(interval) };
  }
  return { when: 'once', at: String(at).slice(0, 16) };
}

/** A notebook's name: its file's without the ending. */
export function nameOf(path: string): string {
  return (path.split('/').pop() ?? path).replace(/\.ipynb$/, '');
}

/** The schedule's `spec`, null where there is none to say. */
export function specOf(form: ScheduleForm): Record<string, unknown> | null {
  const { when, timezone } = form;
  switch (when) {
    case 'once':
      return { at: form.at, timezone };
    case 'every': {
      const unit = UNITS.find(each => each.id === form.unit) ?? UNITS[0];
      return { interval: Number(form.count) * unit.seconds, timezone };
    }
    case 'cron':
      return { cron: form.cron.trim(), timezone };
    default:
      return null;
  }
}

/** What is wrong that can be told without the server, by the fields' names. */
export function ownFaults(subject: Subject, form: ScheduleForm): Record<string, string> {
  const { faults } = readForm(subject.fields, form.parameters, given(subject));
  const wrong: Record<string, string> = form.when === 'now' ? {} : policyFaults(form.policies);
  for (const [name, fault] of Object.entries(faults)) {
    wrong[`parameters.${name}`] = fault;
  }
  if (form.when !== 'now' && form.name.trim() === '') {
    wrong.name = 'Give it a name.';
  }
  if (form.when === 'every' && !(Number(form.count) > 0)) {
    wrong.interval = 'Give a number above 0.';
  }
  if (form.when === 'once' && form.at === '') {
    wrong.at = 'Give a day and a time.';
  }
  return wrong;
}

const given = (subject: Subject): Record<string, unknown> => subject.deployment?.parameters ?? {};

/** The parameters that are sent. */
export function parametersOf(subject: Subject, form: ScheduleForm): Record<string, unknown> {
  return readForm(subject.fields, form.parameters, given(subject)).parameters;
}

/** Whether the schedule that is there says the same: then it is not sent, and goes on as it is. */
function unchanged(schedule: ScheduleJSON, spec: Record<string, unknown>): boolean {
  const { cron, interval, at } = schedule.spec;
  const old = cron ?? interval ?? String(at).slice(0, 16);
  return (
    old === (spec.cron ?? spec.interval ?? spec.at) &&
    schedule.timezone === spec.timezone &&
    (cron === undefined) === (spec.cron === undefined) &&
    (interval === undefined) === (spec.interval === undefined)
  );
}

function schedulesOf(subject: Subject, form: ScheduleForm): SaveScheduleJSON[] | undefined {
  const { deployment } = subject;
  const spec = specOf(form);
  if (spec === null) {
    return form.when === 'keep' ? undefined : [];
  }
  const old = editable(deployment);
  if (old === null) {
    return [{ spec }];
  }
  if (unchanged(old, spec)) {
    return undefined;
  }
  const { id, slug, parameters, active, start_at, end_at, max_runs, jitter } = old;
  return [{ id, slug, spec, parameters, active, start_at, end_at, max_runs, jitter }];
}

/** What is sent to the server for a new deployment, or for the changes of one. */
export function bodyOf(subject: Subject, form: ScheduleForm): SaveDeploymentJSON {
  const { deployment } = subject;
  const before: PoliciesJSON = deployment?.policies ?? {};
  const schedules = schedulesOf(subject, form);
  return {
    // A run that is to be made now needs no name: what is checked then has the notebook's.
    name: form.name.trim() || nameOf(subject.path ?? ''),
    ...(deployment === null && subject.path !== null ? { path: subject.path } : {}),
    parameters: parametersOf(subject, form),
    kernel: form.kernel === '' ? null : form.kernel,
    policies: readPolicies(form.policies, before),
    ...(schedules === undefined ? {} : { schedules })
  };
}

/** Field errors of the server by the form's own names; `rest` are those that no field of the form is meant by. */
export function sortErrors(
  errors: readonly FieldErrorJSON[],
  fields: ParameterFields
): { faults: Record<string, string>; rest: string[] } {
  const faults: Record<string, string> = {};
  const rest: string[] = [];
  for (const { field, message } of errors) {
    const name = field.replace(/^schedules\.\d+\./, '').replace(/^spec\./, '');
    const [head, tail] = [name.split('.')[0], name.split('.')[1] ?? ''];
    const isKnown =
      FIELDS.has(name) ||
      (head === 'policies' && tail in policyForm()) ||
      (head === 'parameters' && fields.names.includes(tail));
    if (isKnown) {
      const key = head === 'parameters' || head === 'policies' ? `${head}.${tail}` : name;
      faults[key] = faults[key] === undefined ? message : `${faults[key]} ${message}`;
    } else {
      rest.push(field === '' ? message : `${field}: ${message}`);
    }
  }
  return { faults, rest };
}

const FIELDS: ReadonlySet<string> = new Set([
  'name',
  'kernel',
  'at',
  'interval',
  'cron',
  'timezone'
]);
