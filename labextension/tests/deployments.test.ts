import { ApiError } from '../src/api/client';
import { DeploymentsModel, MARKS } from '../src/model/deployments';
import { RunsModel } from '../src/model/runs';
import { FakeServer } from './fakes';
import { aDeployment, aDeploymentsRun, aMessage, aRun, at, settle } from './fixtures';

let server: FakeServer;
let runs: RunsModel;
let model: DeploymentsModel;

const changeOf = (seq: number) => ({
  seq,
  at: at(seq),
  run_id: '',
  kind: 'deployment',
  payload: {}
});
const asked = (): number => server.asked.filter(each => each === 'deployments').length;
const marks = (id = 'd'): string[] =>
  (model.find(id)?.last_runs ?? []).map(run => `${run.id} ${run.state.type}`);

async function later(ms: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(ms);
  await settle();
}

async function begin(): Promise<void> {
  runs.start();
  await settle();
}

beforeEach(() => {
  jest.useFakeTimers();
  server = new FakeServer();
  server.runs = [aRun('r')];
  server.scheduled = [aDeployment('d', {}, [aDeploymentsRun('one', 'd', 'RUNNING')])];
  runs = new RunsModel(server.client, server.openSocket);
  model = new DeploymentsModel(server.deployments, runs);
});

afterEach(() => {
  model.dispose();
  runs.dispose();
  jest.useRealTimers();
});

describe('the list of deployments', () => {
  it('is read when the list of runs is, after the stream has begun', async () => {
    expect(model.view.phase).toBe('loading');
    await begin();
    expect(server.asked).toEqual(['meta', 'deployments', 'runs']);
    expect(model.view).toMatchObject({ phase: 'ready', agents: 1, scheduler: true });
    expect(marks()).toEqual(['one RUNNING']);
  });

  it('is read again, once, when deployments have changed', async () => {
    await begin();
    server.scheduled = [];
    server.socket.message.emit(aMessage(11, [], [changeOf(11)]));
    server.socket.message.emit(aMessage(12, [], [changeOf(12)]));
    await later(200);
    expect(asked()).toBe(2);
    expect(model.view.items).toEqual([]);
    expect(runs.view.runs).toHaveLength(1);
  });

  it('takes the states of known runs from the stream, and reads again for a new one', async () => {
    await begin();
    server.socket.message.emit(aMessage(11, [aDeploymentsRun('one', 'd', 'COMPLETED', 3)]));
    expect(marks()).toEqual(['one COMPLETED']);
    await later(200);
    expect(asked()).toBe(1);
    server.socket.message.emit(aMessage(12, [aDeploymentsRun('two', 'd', 'SCHEDULED', 4)]));
    expect(marks()).toEqual(['two SCHEDULED', 'one COMPLETED']);
    await later(200);
    expect(asked()).toBe(2);
  });

  it('keeps the newest runs only, and leaves those of nobody alone', async () => {
    await begin();
    for (let number = 2; number < 9; number++) {
      const run = aDeploymentsRun(`r${number}`, 'd', 'COMPLETED', number);
      server.socket.message.emit(aMessage(10 + number, [run, aRun(`free${number}`)]));
    }
    expect(marks()).toHaveLength(MARKS);
    expect(marks()[0]).toBe('r8 COMPLETED');
    expect(marks().join()).not.toContain('free');
  });

  it('is read once more where something has changed meanwhile', async () => {
    await begin();
    const reading = model.reload();
    server.socket.message.emit(aMessage(11, [aDeploymentsRun('one', 'd', 'COMPLETED', 3)]));
    await reading;
    expect(asked()).toBe(3);
  });

  it('looks for what is missing often, for the rest seldom', async () => {
    server.agents = 0;
    await begin();
    await later(3_000);
    expect(asked()).toBe(2);
    server.agents = 1;
    await later(3_000);
    expect(asked()).toBe(3);
    expect(model.view.agents).toBe(1);
    await later(30_000);
    expect(asked()).toBe(3);
    await later(30_000);
    expect(asked()).toBe(4);
  });

  it('tells that it could not be read, and keeps what it has', async () => {
    await begin();
    server.refusal = new ApiError(500, 'StoreError', 'the disk is full');
    await model.reload();
    expect(model.view).toMatchObject({ phase: 'ready', problem: 'the disk is full' });
    expect(model.view.items).toHaveLength(1);
    server.refusal = null;
    await model.reload();
    expect(model.view.problem).toBeNull();
  });
});

describe('the switch', () => {
  const paused = (): boolean | undefined => model.find('d')?.deployment.paused;

  it('is thrown at once, and the server asked', async () => {
    await begin();
    const done = model.setPaused('d', true);
    expect(paused()).toBe(true);
    expect(model.view.busy.has('d')).toBe(true);
    expect(await done).toBe(true);
    expect(server.asked).toContain('pause d');
    expect(paused()).toBe(true);
    expect(model.find('d')?.deployment.paused_reason).toBe('Paused in JupyterLab');
    expect(model.view.busy.size).toBe(0);
  });

  it('goes back where it is refused, and says why', async () => {
    await begin();
    server.refusal = new ApiError(409, 'Conflict', 'not now');
    const done = model.setPaused('d', true);
    expect(paused()).toBe(true);
    expect(await done).toBe(false);
    expect(paused()).toBe(false);
    expect(model.view.problem).toBe('not now');
    model.dismissProblem();
    server.refusal = null;
    await model.reload();
    expect(model.view.problem).toBeNull();
  });
});

describe('what is done with one', () => {
  it('runs it now and shows the run before the stream tells of it', async () => {
    await begin();
    server.runs = [aDeploymentsRun('made', 'd', 'SCHEDULED')];
    expect((await model.runNow('d', { year: 2014 }))?.id).toBe('made');
    expect(server.asked).toContain('run d {"year":2014}');
    expect(runs.view.runs.map(run => run.id)).toContain('made');
  });

  it('says why it was not run', async () => {
    await begin();
    server.refusal = new ApiError(404, 'DeploymentNotFound', 'there is no deployment');
    expect(await model.runNow('d')).toBeNull();
    expect(model.view.problem).toBe('there is no deployment');
  });

  it('deletes it', async () => {
    await begin();
    expect(await model.remove('d')).toBe(true);
    expect(model.view.items).toEqual([]);
  });
});
