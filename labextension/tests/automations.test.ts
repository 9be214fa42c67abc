import { ApiError } from '../src/api/client';
import { actionWords, automationWords, troubleWords } from '../src/draw/automation';
import { AutomationsModel } from '../src/model/automations';
import { RunsModel } from '../src/model/runs';
import { FakeServer } from './fakes';
import { aDelivery, anAutomation, aRun, settle } from './fixtures';

let server: FakeServer;
let runs: RunsModel;
let model: AutomationsModel;

const asked = (what: string): number => server.asked.filter(each => each === what).length;
const enabled = (): boolean | undefined => model.find('a')?.enabled;
const trouble = (): string | null | undefined => model.view.items[0].trouble?.error;

beforeEach(() => {
  jest.useFakeTimers();
  server = new FakeServer();
  server.runs = [aRun('r')];
  server.automated = [anAutomation('a')];
  runs = new RunsModel(server.client, server.openSocket);
  model = new AutomationsModel(server.automations, runs);
});

afterEach(() => {
  model.dispose();
  runs.dispose();
  jest.useRealTimers();
});

describe('the list of automations', () => {
  it('is read when the list of runs is, and from time to time', async () => {
    model.refresh();
    expect(server.asked).toEqual([]);
    runs.start();
    await settle();
    expect(model.view.items.map(item => item.automation.id)).toEqual(['a']);
    model.refresh();
    await settle();
    expect(asked('automations')).toBe(2);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(asked('automations')).toBe(3);
    model.dispose();
    await jest.advanceTimersByTimeAsync(120_000);
    expect(asked('automations')).toBe(3);
  });

  it('is read once more where that is asked for meanwhile', async () => {
    const first = model.reload();
    void model.reload();
    void model.reload();
    await first;
    expect(asked('automations')).toBe(2);
  });

  it('tells that it could not be read, and keeps what it has', async () => {
    await model.reload();
    server.refusal = new ApiError(500, 'StoreError', 'the disk is full');
    await model.reload();
    expect(model.view).toMatchObject({ problem: 'the disk is full' });
    expect(model.view.items).toHaveLength(1);
    model.dismissProblem();
    expect(model.view.problem).toBeNull();
  });

  it('has what did not work of the newest deliveries, unless it has worked since', async () => {
    const actions = [
      { id: 'one', type: 'send-notification' },
      { id: 'two', type: 'call-webhook', url: 'https://***' }
    ];
    server.automated = [anAutomation('a', { actions })];
    const sent = aDelivery({ state: 'sent', error: null });
    server.deliveries = [sent, aDelivery({ action_id: 'two' }), aDelivery()];
    await model.reload();
    expect(asked('deliveries a 2')).toBe(1);
    expect(trouble()).toBe('it answered 500');
    server.deliveries = [sent, aDelivery()];
    await model.reload();
    expect(trouble()).toBeUndefined();
    server.deliveries = [aDelivery({ state: 'waiting', error: null })];
    await model.reload();
    expect(trouble()).toBeUndefined();
  });

  it('holds one that was deleted while it was read', async () => {
    const gone = new ApiError(404, 'AutomationNotFound', 'no automation');
    const client = server.automations;
    client.deliveries = () => Promise.reject(gone);
    const other = new AutomationsModel(client, runs);
    await other.reload();
    expect(other.view).toMatchObject({ problem: null });
    expect(other.view.items[0].trouble).toBeNull();
    other.dispose();
  });
});

describe('what is done with one', () => {
  it('is switched at once, and the server asked', async () => {
    await model.reload();
    const done = model.setEnabled('a', false);
    expect(enabled()).toBe(false);
    expect(model.view.busy.has('a')).toBe(true);
    expect(await done).toBe(true);
    expect(asked('enabled a false')).toBe(1);
    expect(enabled()).toBe(false);
    expect(model.view.busy.size).toBe(0);
  });

  it('goes back where it is refused, and says why', async () => {
    await model.reload();
    server.refusal = new ApiError(403, 'Forbidden', 'not you');
    const done = model.setEnabled('a', false);
    expect(enabled()).toBe(false);
    expect(await done).toBe(false);
    expect(enabled()).toBe(true);
    expect(model.view.problem).toBe('not you');
  });

  it('deletes it', async () => {
    await model.reload();
    expect(await model.remove('a')).toBe(true);
    expect(model.view.items).toEqual([]);
  });

  it('tests it, once at a time, and keeps what came of it until it is dismissed', async () => {
    await model.reload();
    server.tested = {
      ok: false,
      actions: [{ id: 'one', type: 'send-notification', ok: false, message: 'no' }]
    };
    const done = model.test('a');
    const second = model.test('a');
    expect(model.view.testing.has('a')).toBe(true);
    await Promise.all([done, second]);
    expect(asked('test a')).toBe(1);
    expect(model.view.testing.size).toBe(0);
    expect(model.view.tested.get('a')).toEqual({ ...server.tested, problem: null });
    model.dismissTest('a');
    expect(model.view.tested.size).toBe(0);
  });

  it('says why there was no test', async () => {
    await model.reload();
    server.refusal = new ApiError(0, 'NetworkError', 'no answer');
    await model.test('a');
    expect(model.view.tested.get('a')).toEqual({ ok: false, actions: [], problem: 'no answer' });
    expect(model.view.problem).toBeNull();
  });
});

describe('the words', () => {
  it('say when and what', () => {
    expect(automationWords(anAutomation('a'))).toBe('When a run fails: notify in JupyterLab');
    const filters = { deployments: ['report/*', 'x'], flows: ['etl'], tags: ['prod'] };
    const many = anAutomation('a', {
      when: ['failed', 'CRASHED', 'Late', 'deadline', 'deployment-paused', 'no-success'],
      after: 93_600,
      filters,
      actions: [{ id: '1', type: 'cancel-flow-run' }]
    });
    const of = 'report/* or x, flow etl';
    expect(automationWords(many)).toBe(
      `When a run of ${of} tagged prod fails or crashes or becomes Late or misses its deadline, ` +
        `or a deployment (${of}) tagged prod is paused, ` +
        `or no run of ${of} tagged prod completes for 1 d 2 h: cancel the run`
    );
  });

  it('say of each action what it does', () => {
    const say = (type: string, more: object = {}) => actionWords({ id: '1', type, ...more });
    expect(say('send-message', { url: 'mailtos://***' })).toBe('send a message to mailtos://***');
    expect(say('call-webhook', { url: 'env:HOOK' })).toBe('call env:HOOK');
    expect(say('run-deployment', { deployment: 'etl/etl' })).toBe('run etl/etl');
    expect(say('pause-deployment')).toBe('pause the deployment');
    expect(say('pause-deployment', { deployment: 'x' })).toBe('pause x');
    expect(say('something-new')).toBe('something-new');
  });

  it('say whether another try follows', () => {
    expect(troubleWords(aDelivery())).toBe('The last delivery failed: it answered 500');
    const waiting = aDelivery({ state: 'waiting', attempts: 1 });
    expect(troubleWords(waiting)).toBe('Not delivered yet, tried once: it answered 500');
    expect(troubleWords({ ...waiting, attempts: 4 })).toContain('tried 4 times');
  });
});
