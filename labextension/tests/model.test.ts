import { ApiError } from '../src/api/client';
import { RunModel } from '../src/model/run';
import { RunsModel } from '../src/model/runs';
import { StartedRuns } from '../src/model/started';
import { FakeServer } from './fakes';
import { aChild, aLine, aLogEvent, aMessage, aRun, aStateEvent, at, settle } from './fixtures';

describe('RunsModel', () => {
  let server: FakeServer;
  let model: RunsModel;
  const ids = (): string[] => model.view.runs.map(run => run.id);

  beforeEach(() => {
    server = new FakeServer();
    server.runs = [
      aRun('new', { created_at: at(9) }),
      aRun('old', { created_at: at(1) }, 'COMPLETED')
    ];
    model = new RunsModel(server.client, server.openSocket);
  });
  afterEach(() => model.dispose());

  it('asks nothing before it is started, and once when it is', async () => {
    expect(server.asked).toEqual([]);
    model.start();
    model.start();
    await settle();
    expect(server.asked).toEqual(['meta', 'runs']);
    expect(server.socket.options.after).toBe(10);
    expect(model.view.phase).toBe('ready');
    expect(ids()).toEqual(['new', 'old']);
  });

  it('follows the stream: new runs on top, children left out, changes in place', async () => {
    model.start();
    await settle();
    const newest = aRun('newest', { created_at: at(20) });
    const heard: string[] = [];
    model.seen.connect((_, run) => heard.push(run.id));
    server.socket.message.emit(
      aMessage(11, [newest, aChild('c', newest), aRun('new', { created_at: at(9) }, 'FAILED', 12)])
    );
    expect(ids()).toEqual(['newest', 'new', 'old']);
    expect(model.view.runs[1].state.type).toBe('FAILED');
    expect(heard).toEqual(['newest', 'c', 'new']);
  });

  it('says when the line is down', async () => {
    model.start();
    await settle();
    server.socket.setStatus('reconnecting');
    expect(model.view.connection).toBe('reconnecting');
  });

  it('loads page after page, without gaps at the edge', async () => {
    server.runs = [9, 8, 7, 6, 5].map(n => aRun(`r${n}`, { created_at: at(n) }));
    server.pageSize = 2;
    model.start();
    await settle();
    expect(ids()).toEqual(['r9', 'r8']);
    server.socket.message.emit(aMessage(11, [aRun('r5', { created_at: at(5) }, 'FAILED', 30)]));
    expect(ids()).toEqual(['r9', 'r8']);
    await model.loadMore();
    expect(ids()).toEqual(['r9', 'r8', 'r7', 'r6']);
    await model.loadMore();
    expect(ids()).toEqual(['r9', 'r8', 'r7', 'r6', 'r5']);
    expect(model.view.hasMore).toBe(false);
    expect(model.view.runs[4].state.type).toBe('FAILED');
  });

  it('narrows the list on the server and at once', async () => {
    model.start();
    await settle();
    await model.setFilter({ choice: 'failed', text: ' new ' });
    expect(server.asked).toContain('runs new FAILED,CRASHED');
    expect(ids()).toEqual([]);
    server.socket.message.emit(aMessage(11, [aRun('new', { created_at: at(9) }, 'FAILED', 12)]));
    expect(ids()).toEqual(['new']);
  });

  it('shows a cancellation as soon as the server accepts it', async () => {
    model.start();
    await settle();
    expect(await model.cancel('new')).toBe(true);
    expect(model.view.runs[0].state.type).toBe('CANCELLING');
  });

  it("keeps the server's words when it refuses", async () => {
    model.start();
    await settle();
    server.refusal = new ApiError(409, 'RunFinished', 'run old is COMPLETED');
    expect(await model.cancel('old')).toBe(false);
    expect(model.view.problem).toBe('run old is COMPLETED');
    model.dismissProblem();
    expect(model.view.problem).toBeNull();
  });

  it('tries again when the server does not answer', async () => {
    jest.useFakeTimers();
    server.refusal = new ApiError(0, 'NetworkError', 'nobody there');
    model.start();
    await settle();
    expect(model.view).toMatchObject({ phase: 'failed', problem: 'nobody there' });
    server.refusal = null;
    jest.advanceTimersByTime(5000);
    await settle();
    expect(model.view).toMatchObject({ phase: 'ready', problem: null });
    jest.useRealTimers();
  });

  it('loads everything again when the stream began anew', async () => {
    model.start();
    await settle();
    const first = server.socket;
    server.runs = [aRun('other')];
    first.restarted.emit();
    await settle();
    expect(first.disposed).toBe(true);
    expect(ids()).toEqual(['other']);
  });
});

describe('StartedRuns', () => {
  const memory = (): Storage & { kept: string | null } => {
    const storage = { kept: null as string | null } as Storage & { kept: string | null };
    storage.getItem = () => storage.kept;
    storage.setItem = (_: string, value: string) => (storage.kept = value);
    return storage;
  };

  it('tells the end of each run that was started here, once', async () => {
    const server = new FakeServer();
    server.runs = [aRun('a')];
    const runs = new RunsModel(server.client, server.openSocket);
    const started = new StartedRuns(runs, memory());
    const ended: string[] = [];
    started.ended.connect((_, run) => ended.push(`${run.id} ${run.state.type}`));
    started.add(await runs.startNotebook('x.ipynb'));
    await settle();
    expect(server.asked[0]).toBe('start x.ipynb');
    const end = aMessage(11, [aRun('a', {}, 'COMPLETED', 5), aRun('b', {}, 'COMPLETED', 5)]);
    server.socket.message.emit(end);
    server.socket.message.emit(end);
    expect(ended).toEqual(['a COMPLETED']);
    runs.dispose();
  });

  it('remembers through a reload, and forgets what is gone', async () => {
    const server = new FakeServer();
    server.runs = [aRun('a', {}, 'FAILED')];
    const storage = memory();
    storage.kept = '["a","gone"]';
    const runs = new RunsModel(server.client, server.openSocket);
    const started = new StartedRuns(runs, storage);
    const ended: string[] = [];
    started.ended.connect((_, run) => ended.push(run.id));
    await started.resume();
    expect(ended).toEqual(['a']);
    expect(storage.kept).toBe('[]');
    runs.dispose();
  });
});

describe('RunModel', () => {
  const root = aRun('root');
  const cell = aChild('cell', root, {
    created_at: at(1),
    progress: { total: 1, done: 0, counts: {} }
  });
  const task = aChild('task', cell, { created_at: at(2) });
  let server: FakeServer;
  let model: RunModel;

  beforeEach(() => {
    server = new FakeServer();
    server.runs = [root, cell, task];
    server.lines = [aLine(1, 'cell'), aLine(2, 'task'), aLine(3, 'root')];
    model = new RunModel('root', server.client, server.openSocket);
  });
  afterEach(() => model.dispose());

  const rows = (): string[] => model.tree.tree!.rows.map(row => `${row.id} ${row.state.type}`);
  const texts = (): string[] => model.tree.logs.lines.map(line => `${line.runId}: ${line.message}`);

  it('reads everything at once, then follows the stream from there', async () => {
    await model.load();
    expect(server.asked).toEqual(['tree root']);
    expect(server.socket.options).toMatchObject({ after: 10, logs: 'root' });
    expect(rows()).toEqual(['cell RUNNING', 'task RUNNING']);
    expect(texts()).toEqual(['cell: line 1', 'task: line 2', 'root: line 3']);
    let changes = 0;
    model.changed.connect(() => (changes += 1));
    const stranger = aRun('stranger');
    server.socket.message.emit(aMessage(11, [stranger]));
    expect(changes).toBe(0);
    server.socket.message.emit(
      aMessage(
        12,
        [aChild('task', cell, { created_at: at(2), error: null }, 'COMPLETED')],
        [aStateEvent(11, 'task', 'COMPLETED', 6), aLogEvent(12, 'task', 'done')]
      )
    );
    expect(changes).toBe(1);
    expect(rows()).toEqual(['cell RUNNING', 'task COMPLETED']);
    expect(texts().slice(3)).toEqual(['task: done']);
    expect(model.tree.tree!.byId.get('task')).toMatchObject({ lastLog: 'done', parentId: 'cell' });
  });

  it('reads everything again when the stream began anew', async () => {
    await model.load();
    server.seq = 2;
    server.runs = [root];
    server.socket.restarted.emit();
    await settle();
    expect(rows()).toEqual([]);
    expect(server.socket.options.after).toBe(2);
  });

  it('says what is missing', async () => {
    const gone = new RunModel('gone', server.client, server.openSocket);
    await gone.load();
    expect(gone.view.phase).toBe('missing');
    expect(server.sockets).toHaveLength(0);
    gone.dispose();
  });

  it('cancels, retries, and keeps refusals', async () => {
    await model.load();
    await model.cancel();
    expect(model.view.run?.state.type).toBe('CANCELLING');
    server.refusal = new ApiError(409, 'RunFinished', "it can't be retried");
    expect(await model.retry()).toBe(false);
    expect(model.view.problem).toBe("it can't be retried");
  });

  it('goes on with a run, and runs it again', async () => {
    await model.load();
    expect(await model.goOn('resume')).toBe(true);
    expect(await model.goOn('repair')).toBe(true);
    expect((await model.rerun())?.id).toBe('another');
    expect(server.asked.slice(1)).toEqual(['resume root', 'repair root', 'rerun root']);
    server.refusal = new ApiError(409, 'RunFinished', 'it is resumed already');
    expect(await model.rerun()).toBeNull();
    expect(model.view.problem).toBe('it is resumed already');
  });

  it('finds the executed notebook, or has it copied to where it can be opened', async () => {
    server.runs = [{ ...root, source: { executed: '/far/x.ipynb', executed_path: null } }];
    await model.load();
    await expect(model.notebook('executed')).resolves.toBe('copy-of-root.ipynb');
    server.refusal = new ApiError(404, 'TargetError', 'gone');
    await expect(model.notebook('executed')).resolves.toBeNull();
    expect(model.view.problem).toBe('gone');
    server.refusal = null;
    server.runs = [{ ...root, source: { executed_path: 'runs/x.ipynb' } }];
    await model.load();
    await expect(model.notebook('executed')).resolves.toBe('runs/x.ipynb');
    await expect(model.notebook('snapshot')).resolves.toBe('copy-of-root.ipynb');
    expect(server.asked.filter(item => item.startsWith('copy'))).toEqual([
      'copy executed root',
      'copy executed root',
      'copy snapshot root'
    ]);
  });
});
