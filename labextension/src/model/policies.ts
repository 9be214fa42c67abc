import type { PoliciesJSON } from '../api/schema';

/** The fields under "More" as they are typed. Empty numbers mean none, or the default where there must be one. */
export interface PolicyForm {
  missed: NonNullable<PoliciesJSON['missed']>;
  missed_limit: string;
  grace: string;
  overlap: NonNullable<PoliciesJSON['overlap']>;
  concurrency_limit: string;
  retries: string;
  retry_delay: string;
  timeout: string;
  on_crash: NonNullable<PoliciesJSON['on_crash']>;
  keep_last: string;
  keep_days: string;
  max_consecutive_failures: string;
  snapshot: NonNullable<PoliciesJSON['snapshot']>;
  output: string;
  formats: readonly string[];
}

interface NumberRule {
  /** `time`: seconds, or a text such as `15m` that the server reads. */
  readonly kind: 'whole' | 'number' | 'time';
  readonly least: number;
  /** What stands for an empty field. */
  readonly empty: number | null;
}

/** The rules that can be told without the server; it has the last word. */
export const NUMBERS = {
  missed_limit: { kind: 'whole', least: 1, empty: 100 },
  grace: { kind: 'time', least: 0, empty: 60 },
  concurrency_limit: { kind: 'whole', least: 1, empty: null },
  retries: { kind: 'whole', least: 0, empty: 0 },
  retry_delay: { kind: 'time', least: 0, empty: 0 },
  timeout: { kind: 'time', least: 0, empty: null },
  keep_last: { kind: 'whole', least: 1, empty: null },
  keep_days: { kind: 'number', least: 0, empty: null },
  max_consecutive_failures: { kind: 'whole', least: 1, empty: null }
} as const satisfies Record<string, NumberRule>;

export type NumberPolicy = keyof typeof NUMBERS;

const NAMES = Object.keys(NUMBERS) as NumberPolicy[];

const DEFAULTS: PolicyForm = {
  missed: 'latest',
  missed_limit: '100',
  grace: '60',
  overlap: 'queue',
  concurrency_limit: '1',
  retries: '0',
  retry_delay: '0',
  timeout: '',
  on_crash: 'fail',
  keep_last: '',
  keep_days: '',
  max_consecutive_failures: '',
  snapshot: 'current',
  output: '',
  formats: ['ipynb']
};

/** The fields for policies as they are stored. */
export function policyForm(policies: PoliciesJSON = {}): PolicyForm {
  const form: PolicyForm = { ...DEFAULTS };
  for (const name of NAMES) {
    const value = policies[name];
    form[name] = value === undefined ? DEFAULTS[name] : value === null ? '' : String(value);
  }
  return {
    ...form,
    missed: policies.missed ?? form.missed,
    overlap: policies.overlap ?? form.overlap,
    on_crash: policies.on_crash ?? form.on_crash,
    snapshot: policies.snapshot ?? form.snapshot,
    output: policies.output ?? '',
    formats: policies.formats ?? form.formats
  };
}

/** What is wrong with a number as it is typed, null where nothing is. */
export function numberFault(text: string, rule: NumberRule): string | null {
  const typed = text.trim();
  if (typed === '') {
    return null;
  }
  const value = Number(typed);
  if (!Number.isFinite(value) && rule.kind === 'time' && /\d/.test(typed)) {
    return null;
  }
  if (!Number.isFinite(value)) {
    return `${JSON.stringify(typed)} is not a number.`;
  }
  if (rule.kind === 'whole' && !Number.isInteger(value)) {
    return 'Give a whole number.';
  }
  return value < rule.least ? `Give ${rule.least} or more.` : null;
}

/** What is wrong with the fields, by their names (`policies.retries`). */
export function policyFaults(form: PolicyForm): Record<string, string> {
  const faults: Record<string, string> = {};
  for (const name of NAMES) {
    const fault = numberFault(form[name], NUMBERS[name]);
    if (fault !== null) {
      faults[`policies.${name}`] = fault;
    }
  }
  if (form.formats.length === 0) {
    faults['policies.formats'] = 'Choose one at least.';
  }
  return faults;
}

/** The policies as the server takes them; what the form has no field for stays as `before`. */
export function readPolicies(form: PolicyForm, before: PoliciesJSON = {}): PoliciesJSON {
  const numbers: Record<string, number | string | null> = {};
  for (const name of NAMES) {
    const text = form[name].trim();
    const value = Number(text);
    numbers[name] = text === '' ? NUMBERS[name].empty : Number.isFinite(value) ? value : text;
  }
  return {
    ...before,
    ...(numbers as Partial<PoliciesJSON>),
    missed: form.missed,
    overlap: form.overlap,
    on_crash: form.on_crash,
    snapshot: form.snapshot,
    output: form.output.trim() === '' ? null : form.output.trim(),
    formats: [...form.formats]
  };
}
