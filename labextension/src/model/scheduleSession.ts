import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { ApiError, messageOf } from '../api/http';
import type { DeploymentJSON, FieldErrorJSON, PreviewJSON, RunJSON } from '../api/schema';
import type { DeploymentsModel } from './deployments';
import {
  bodyOf,
  editable,
  nameOf,
  openForm,
  ownFaults,
  parametersOf,
  type ScheduleForm,
  sortErrors,
  specOf,
  type Subject,
  type When
} from './scheduleForm';

/** What the server says of the schedule: `answer` is the last one, `asking` while a newer one is awaited. */
export interface PreviewState {
  readonly answer: PreviewJSON | null;
  readonly asking: boolean;
  readonly failed: string | null;
}

/** What the dialog shows. */
export interface SessionView {
  readonly subject: Subject;
  readonly form: ScheduleForm;
  readonly choices: readonly When[];
  /** What is wrong, by the fields' names. */
  readonly faults: Readonly<Record<string, string>>;
  readonly preview: PreviewState;
  /** What is wrong with no field in particular. */
  readonly problem: string | null;
  /** The notebook's deployment that has this name already, while a new one is made. */
  readonly existing: DeploymentJSON | null;
  readonly busy: boolean;
  /** Whether it makes sense to send it. */
  readonly ready: boolean;
}

/** What came of sending it: a run that was started, or a deployment that was saved under this name. */
export type Outcome = { run: RunJSON } | { saved: string };

/** What the session asks others to do. */
export interface SessionTools {
  readonly deployments: DeploymentsModel;
  startNotebook(path: string, parameters: Record<string, unknown>): Promise<RunJSON>;
}

const TYPING_PAUSE = 250;
const CHECK_PAUSE = 400;
const NO_PREVIEW: PreviewState = { answer: null, asking: false, failed: null };

/**
 * One opened form of "Schedule notebook…": holds what is typed, asks the server about the schedule while it is typed,
 * and sends it. What the server refuses is shown beside its field until that is changed. Emits `changed`.
 */
export class ScheduleSession {
  constructor(
    private readonly tools: SessionTools,
    private subject: Subject,
    now: number = Date.now()
  ) {
    this.opened = now;
    this.blank = this.form = openForm(subject, now);
    this.ask(0);
  }

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get view(): SessionView {
    this.cached ??= this.makeView();
    return this.cached;
  }

  dispose(): void {
    this.disposed = true;
    window.clearTimeout(this.timer);
    window.clearTimeout(this.checkTimer);
    Signal.clearData(this);
  }

  /** Take what is typed. What the server has said of the fields that change is not true any more. */
  set(changes: Partial<ScheduleForm>): void {
    const before = this.form;
    this.form = { ...before, ...changes };
    this.forget(changes, before);
    this.problem = null;
    if (JSON.stringify(specOf(before)) !== JSON.stringify(specOf(this.form))) {
      if (before.when !== this.form.when) {
        this.preview = NO_PREVIEW;
      }
      this.ask(before.when === this.form.when ? TYPING_PAUSE : 0);
    }
    this.check();
    this.touch();
  }

  /** Go on with the deployment that has the name already: its settings, with what was typed here over them. */
  changeExisting(): void {
    const { existing } = this.view;
    if (existing === null) {
      return;
    }
    this.subject = { ...this.subject, deployment: existing };
    const its = openForm(this.subject, this.opened);
    const { blank, form } = this;
    const timed = pick(form, TIMES);
    this.form = {
      ...its,
      ...typedOver(pick(blank, ['name', 'kernel']), pick(form, ['name', 'kernel'])),
      ...(Object.keys(typedOver(pick(blank, TIMES), timed)).length > 0 ? timed : {}),
      parameters: { ...its.parameters, ...typedOver(blank.parameters, form.parameters) },
      policies: { ...its.policies, ...typedOver(blank.policies, form.policies) }
    };
    this.blank = its;
    if (!this.choices().includes(this.form.when)) {
      this.form = { ...this.form, when: its.when };
    }
    this.refused = {};
    this.problem = null;
    this.ask(0);
    this.touch();
  }

  /** Send it; null where it was refused: then the view says why. */
  async submit(): Promise<Outcome | null> {
    const { subject, form } = this;
    if (!this.view.ready) {
      return null;
    }
    this.busy = true;
    this.checked += 1;
    this.problem = null;
    this.touch();
    try {
      if (form.when === 'now' && subject.path !== null) {
        return { run: await this.tools.startNotebook(subject.path, parametersOf(subject, form)) };
      }
      const body = bodyOf(subject, form);
      await this.tools.deployments.save(subject.deployment?.id ?? null, body);
      return { saved: form.name.trim() };
    } catch (reason) {
      await this.refuse(reason);
      return null;
    } finally {
      this.busy = false;
      this.touch();
    }
  }

  /** Ask the server whether it would take the whole of it, after a pause; what it refuses is shown at its fields. */
  private check(): void {
    window.clearTimeout(this.checkTimer);
    const asked = ++this.checked;
    const { subject, form } = this;
    if (Object.keys(ownFaults(subject, form)).length > 0) {
      return;
    }
    const send = async (): Promise<void> => {
      let fields: readonly FieldErrorJSON[] = [];
      try {
        const body = bodyOf(subject, form);
        const id = subject.deployment?.id ?? null;
        fields = (await this.tools.deployments.client.check(id, body)).errors;
      } catch {
        // Who can't ask while typing asks by sending.
      }
      if (asked === this.checked && !this.disposed && !this.busy) {
        const { faults, rest } = sortErrors(fields, subject.fields);
        this.refused = faults;
        this.problem = rest.length > 0 ? rest.join('\n') : null;
        this.touch();
      }
    };
    this.checkTimer = window.setTimeout(() => void send(), CHECK_PAUSE);
  }

  private async refuse(reason: unknown): Promise<void> {
    const fields = reason instanceof ApiError ? reason.fields : [];
    const { faults, rest } = sortErrors(fields, this.subject.fields);
    this.refused = faults;
    if (reason instanceof ApiError && reason.error === 'DeploymentExists') {
      await this.tools.deployments.reload();
      this.touch();
      if (this.view.existing !== null) {
        return;
      }
    }
    if (rest.length > 0) {
      this.problem = rest.join('\n');
    } else if (Object.keys(faults).length === 0) {
      this.problem = messageOf(reason);
    }
  }

  private forget(changes: Partial<ScheduleForm>, before: ScheduleForm): void {
    const gone = (field: string): boolean => {
      const [head, tail] = field.split('.');
      if (head === 'parameters' && changes.parameters !== undefined) {
        return changes.parameters[tail] !== before.parameters[tail];
      }
      if (head === 'policies' && changes.policies !== undefined) {
        const name = tail as keyof ScheduleForm['policies'];
        return changes.policies[name] !== before.policies[name];
      }
      const typed = field === 'interval' ? ['count', 'unit'] : [field];
      return 'when' in changes || typed.some(name => name in changes);
    };
    this.refused = Object.fromEntries(
      Object.entries(this.refused).filter(([field]) => !gone(field))
    );
  }

  /** Ask the server about the schedule, `pause` ms from now; only the answer to what was asked last counts. */
  private ask(pause: number): void {
    window.clearTimeout(this.timer);
    const asked = ++this.asked;
    const spec = specOf(this.form);
    const wrong = ownFaults(this.subject, this.form);
    if (spec === null || 'interval' in wrong || 'at' in wrong) {
      this.preview = NO_PREVIEW;
      return;
    }
    this.preview = { ...this.preview, asking: true };
    const { start_at = null, end_at = null } = editable(this.subject.deployment) ?? {};
    const send = async (): Promise<void> => {
      let next: PreviewState;
      try {
        const answer = await this.tools.deployments.client.preview({
          spec,
          start_at,
          end_at,
          count: 5
        });
        next = { answer, asking: false, failed: null };
      } catch (reason) {
        const fields = reason instanceof ApiError ? reason.fields : [];
        next =
          fields.length === 0
            ? { answer: null, asking: false, failed: messageOf(reason) }
            : { answer: refusedPreview(fields), asking: false, failed: null };
      }
      if (asked === this.asked && !this.disposed) {
        this.preview = next;
        this.touch();
      }
    };
    this.timer = window.setTimeout(() => void send(), pause);
  }

  private choices(): When[] {
    const { deployment, path } = this.subject;
    const timed: When[] = ['once', 'every', 'cron'];
    if (deployment === null) {
      return path === null ? timed : ['now', ...timed];
    }
    const kept = deployment.schedules.length > 0 && editable(deployment) === null;
    return [...(kept ? ['keep' as const] : []), 'none', ...timed];
  }

  private makeView(): SessionView {
    const { subject, form, preview, busy } = this;
    const shownHere = sortErrors(preview.answer?.errors ?? [], subject.fields);
    const existing = this.existing();
    const faults: Record<string, string> = {
      ...shownHere.faults,
      ...this.refused,
      ...ownFaults(subject, form)
    };
    const others = shownHere.rest.length > 0 ? shownHere.rest.join('\n') : null;
    const refused = preview.answer !== null && !preview.answer.ok && !preview.asking;
    return {
      subject,
      form,
      choices: this.choices(),
      faults,
      preview,
      problem: this.problem ?? others,
      existing,
      busy,
      ready: !busy && !refused && existing === null && Object.keys(faults).length === 0
    };
  }

  /** The deployment that a new one of this name would take the place of. */
  private existing(): DeploymentJSON | null {
    const { subject, form } = this;
    if (subject.deployment !== null || form.when === 'now') {
      return null;
    }
    const name = form.name.trim();
    const flow = nameOf(subject.path ?? '');
    const found = this.tools.deployments.view.items.find(
      ({ deployment }) => deployment.name === name && deployment.flow_name === flow
    );
    return found?.deployment ?? null;
  }

  private touch(): void {
    this.cached = null;
    if (!this.disposed) {
      this.changedSignal.emit();
    }
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private readonly opened: number;
  private form: ScheduleForm;
  private blank: ScheduleForm;
  private preview: PreviewState = NO_PREVIEW;
  private refused: Record<string, string> = {};
  private problem: string | null = null;
  private busy = false;
  private asked = 0;
  private disposed = false;
  private timer: number | undefined;
  private checked = 0;
  private checkTimer: number | undefined;
  private cached: SessionView | null = null;
}

const TIMES = ['when', 'at', 'count', 'unit', 'cron', 'timezone'] as const;

function pick<K extends keyof ScheduleForm>(form: ScheduleForm, names: readonly K[]) {
  return Object.fromEntries(names.map(name => [name, form[name]])) as Pick<ScheduleForm, K>;
}

/** What differs from what stood there before. */
function typedOver<T extends object>(before: T, now: T): Partial<T> {
  const differs = (name: string): boolean =>
    JSON.stringify(now[name as keyof T]) !== JSON.stringify(before[name as keyof T]);
  return Object.fromEntries(Object.entries(now).filter(([name]) => differs(name))) as Partial<T>;
}

function refusedPreview(errors: readonly FieldErrorJSON[]): PreviewJSON {
  return { ok: false, words: '', timezone: '', next: [], errors: [...errors] };
}
