import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { ApiError } from '../src/api/client';
import { ScheduleFields } from '../src/components/schedule/ScheduleFields';
import { DeploymentsModel } from '../src/model/deployments';
import { parameterFields } from '../src/model/parameters';
import { RunsModel } from '../src/model/runs';
import type { Subject } from '../src/model/scheduleForm';
import { type Outcome, ScheduleSession, type SessionTools } from '../src/model/scheduleSession';
import { FakeServer } from './fakes';
import { aDeployment, aForm, aPreview, aRun, aSchedule, MARKUP, settle } from './fixtures';

let server: FakeServer;
let runs: RunsModel;
let deployments: DeploymentsModel;
let tools: SessionTools;
let session: ScheduleSession;

function subject(changes: Partial<Subject> = {}): Subject {
  const { form } = server;
  const fields = parameterFields(form.schema, form.defaults);
  return { path: 'quick.ipynb', form, fields, deployment: null, ...changes };
}

async function later(ms: number): Promise<void> {
  await act(async () => {
    await jest.advanceTimersByTimeAsync(ms);
    await settle();
  });
}

/** Open a session and its form, painted anew with each change. */
async function open(about: Subject = subject()): Promise<void> {
  session = new ScheduleSession(tools, about, Date.UTC(2026, 0, 31));
  function Live(): JSX.Element {
    const [, again] = React.useReducer((count: number) => count + 1, 0);
    React.useEffect(() => {
      session.changed.connect(again);
      return () => void session.changed.disconnect(again);
    }, []);
    return (
      <ScheduleFields
        view={session.view}
        onChange={changes => session.set(changes)}
        onChangeExisting={() => session.changeExisting()}
      />
    );
  }
  render(<Live />);
  await later(0);
}

const type = (label: string, value: string): void => {
  fireEvent.change(screen.getByLabelText(label), { target: { value } });
};
const choose = (when: string): void => {
  fireEvent.click(screen.getByRole('radio', { name: when }));
};
const send = async (): Promise<Outcome | null> => {
  let outcome: Outcome | null = null;
  await act(async () => {
    outcome = await session.submit();
    await settle();
  });
  return outcome;
};
const previews = (): string[] => server.asked.filter(each => each.startsWith('preview'));

beforeEach(() => {
  jest.useFakeTimers();
  server = new FakeServer();
  server.runs = [aRun('r')];
  runs = new RunsModel(server.client, server.openSocket);
  deployments = new DeploymentsModel(server.deployments, runs);
  tools = {
    deployments,
    startNotebook: (path, parameters) => runs.startNotebook(path, parameters)
  };
});

afterEach(() => {
  cleanup();
  session?.dispose();
  deployments.dispose();
  runs.dispose();
  jest.useRealTimers();
});

describe('while it is typed', () => {
  it('the server says the words and the next times, once for a burst of keys', async () => {
    await open();
    expect(screen.getByText('At 06:00')).not.toBeNull();
    expect(screen.getByRole('list').textContent).toContain('Sun 2026-02-01 06:00 UTC+01:00');
    type('Cron expression', '0 7');
    type('Cron expression', '0 7 * * *');
    await later(300);
    expect(previews()).toHaveLength(2);
    expect(previews()[1]).toContain('0 7 * * *');
  });

  it('what is wrong stands below its field, in the words of the server, and nothing can be sent', async () => {
    await open();
    const message = `give five fields ${MARKUP}`;
    server.preview = () => aPreview({ ok: false, next: [], errors: [{ field: 'cron', message }] });
    type('Cron expression', '0 6 *');
    await later(300);
    const field = screen.getByLabelText('Cron expression');
    expect(field.getAttribute('aria-invalid')).toBe('true');
    const note = document.getElementById(field.getAttribute('aria-describedby') ?? '');
    expect(note?.textContent).toBe(message);
    expect(document.querySelector('img')).toBeNull();
    expect(session.view.ready).toBe(false);
    expect(screen.getByText('To be mended first: cron')).not.toBeNull();
    server.preview = () => aPreview();
    type('Cron expression', '0 6 * * *');
    await later(300);
    expect(session.view.ready).toBe(true);
  });

  it('only the answer to what was asked last counts', async () => {
    await open();
    const answers: ((words: string) => void)[] = [];
    tools.deployments.client.preview = () =>
      new Promise(resolve => answers.push(words => resolve(aPreview({ words }))));
    type('Cron expression', '1 * * * *');
    await later(300);
    type('Cron expression', '2 * * * *');
    await later(300);
    answers[1]('the second');
    await later(0);
    answers[0]('the first');
    await later(0);
    expect(session.view.preview.answer?.words).toBe('the second');
  });

  it('a preview that fails is told and keeps nobody from sending', async () => {
    await open();
    server.refusal = new ApiError(500, 'StoreError', 'no disk');
    type('Time zone', 'Europe/Oslo');
    await later(300);
    expect(screen.getByText("The next times can't be told: no disk")).not.toBeNull();
    expect(session.view.ready).toBe(true);
  });

  it('the server judges the whole of it, and what it refuses stands at its field', async () => {
    await open();
    server.wrong = [{ field: 'policies.output', message: 'Must end in .ipynb' }];
    type('Save the executed notebook as', 'report.txt');
    await later(500);
    expect(server.asked.filter(each => each.startsWith('check'))).toEqual(['check quick']);
    expect(screen.getByRole('alert').textContent).toBe('Must end in .ipynb');
    expect(session.view.ready).toBe(false);
    server.wrong = [];
    type('Save the executed notebook as', 'report.ipynb');
    expect(session.view.ready).toBe(true);
    await later(500);
    expect(session.view).toMatchObject({ ready: true, faults: {} });
  });

  it('each choice has its own fields', async () => {
    await open();
    choose('Every');
    type('Interval', '15');
    type('Unit', 'minutes');
    await later(300);
    expect(previews().pop()).toContain('"interval":900');
    type('Interval', 'x');
    expect(session.view.faults).toHaveProperty('interval');
    choose('Once');
    type('Day and time', '2026-12-01T06:00');
    await later(300);
    expect(previews().pop()).toContain('"at":"2026-12-01T06:00"');
    choose('Now');
    expect(screen.queryByLabelText('Name')).toBeNull();
    expect(screen.queryByText('More')).toBeNull();
  });
});

describe('what is sent', () => {
  it('is a deployment with what was typed', async () => {
    await open();
    type('Name', 'nightly');
    type('year', '2014');
    type('Retries of a failed run', '2');
    type('While another run of it is open', 'skip');
    fireEvent.click(screen.getByLabelText('Web page (.html)'));
    expect(screen.getByText('Default: 2012')).not.toBeNull();
    expect(screen.getByText("Empty: the notebook's own")).not.toBeNull();
    expect(await send()).toEqual({ saved: 'nightly' });
    expect(server.bodies[0]).toMatchObject({
      name: 'nightly',
      path: 'quick.ipynb',
      parameters: { year: 2014 },
      policies: { retries: 2, overlap: 'skip', formats: ['ipynb', 'html'] },
      schedules: [{ spec: { cron: '0 6 * * *' } }]
    });
    expect(server.asked.pop()).toBe('deployments');
  });

  it('is a run, and no deployment, where it is to be now', async () => {
    await open();
    choose('Now');
    type('city', 'Bergen');
    expect(await send()).toMatchObject({ run: { id: 'r' } });
    expect(server.asked).toContain('start quick.ipynb');
    expect(server.bodies).toEqual([]);
  });

  it('is kept where the server refuses it, with each error at its field until that changes', async () => {
    await open();
    type('Name', 'nightly');
    server.refusal = new ApiError(422, 'ValidationFailed', 'two are wrong', [
      { field: 'parameters.year', message: 'too early' },
      { field: 'policies.output', message: 'must end in .ipynb' },
      { field: 'tags', message: 'too many' }
    ]);
    expect(await send()).toBeNull();
    const texts = screen.getAllByRole('alert').map(each => each.textContent);
    expect(texts).toEqual(['tags: too many', 'too early', 'must end in .ipynb']);
    expect(document.querySelector('details')?.open).toBe(true);
    expect((screen.getByLabelText('Name') as HTMLInputElement).value).toBe('nightly');
    type('year', '2014');
    expect(Object.keys(session.view.faults)).toEqual(['policies.output']);
    type('Save the executed notebook as', 'x.ipynb');
    expect(session.view.ready).toBe(true);
  });

  it('a refusal without fields is told as a whole', async () => {
    await open();
    server.refusal = new ApiError(0, 'NetworkError', 'nobody there');
    expect(await send()).toBeNull();
    expect(screen.getByRole('alert').textContent).toBe('nobody there');
    expect(session.view.ready).toBe(true);
  });
});

describe('a name that is there already', () => {
  beforeEach(async () => {
    server.scheduled = [
      aDeployment('d', {
        name: 'nightly',
        parameters: { year: 1999 },
        policies: { retries: 4 },
        kernel: 'python3'
      })
    ];
    await deployments.reload();
  });

  it('is offered to be changed, with what was typed here over its settings', async () => {
    await open();
    type('city', 'Bergen');
    type('Time-out of a run', '60');
    type('Name', 'nightly');
    expect(session.view.ready).toBe(false);
    expect(screen.getByRole('alert').textContent).toContain('At 06:00');
    fireEvent.click(screen.getByText('Change that one'));
    await later(300);
    expect(session.view).toMatchObject({ existing: null, ready: true });
    expect(session.view.form).toMatchObject({ kernel: 'python3', timezone: 'Europe/Oslo' });
    await send();
    expect(server.asked).toContain('change d');
    expect(server.bodies[0]).toMatchObject({
      parameters: { city: 'Bergen', year: 1999 },
      policies: { retries: 4, timeout: 60 }
    });
  });

  it('is one of another notebook: no matter', async () => {
    server.scheduled = [aDeployment('d', { name: 'nightly', flow_name: 'other' })];
    await deployments.reload();
    await open();
    type('Name', 'nightly');
    expect(session.view.existing).toBeNull();
  });

  it('is found out also where the server knew it first', async () => {
    server.scheduled = [];
    await deployments.reload();
    await open();
    type('Name', 'nightly');
    server.scheduled = [aDeployment('d', { name: 'nightly' })];
    tools.deployments.client.create = () =>
      Promise.reject(new ApiError(409, 'DeploymentExists', 'there is one'));
    expect(await send()).toBeNull();
    expect(session.view.existing?.id).toBe('d');
    expect(session.view.problem).toBeNull();
  });
});

describe('the form for one that is there', () => {
  it('shows its settings and saves changes only', async () => {
    const { deployment } = aDeployment('d', { parameters: { year: 2014 }, kernel: 'gone' });
    await open(subject({ deployment }));
    expect((screen.getByLabelText('year') as HTMLInputElement).value).toBe('2014');
    expect(screen.getByText('gone (not installed)')).not.toBeNull();
    expect(screen.queryByRole('radio', { name: 'Now' })).toBeNull();
    choose('By hand');
    expect(await send()).toEqual({ saved: 'name-d' });
    expect(server.bodies[0].schedules).toEqual([]);
  });

  it('warns where schedules would be lost', async () => {
    const schedules = [aSchedule(), aSchedule({ id: 'b', words: 'At 18:00' })];
    const { deployment } = aDeployment('d', { schedules });
    await open(subject({ deployment }));
    expect(document.querySelector('.jp-WfForm-kept')?.textContent).toBe('At 06:00At 18:00');
    choose('Cron');
    expect(document.body.textContent).toContain('takes the place of its schedules: At 06:00; At');
  });

  it('says how a notebook gets parameters', async () => {
    server.form = aForm({ schema: {}, defaults: {}, problems: ['its kernel is not installed'] });
    await open();
    expect(document.body.textContent).toContain('give that cell the tag “parameters”');
    expect(document.body.textContent).toContain('its kernel is not installed');
  });
});
