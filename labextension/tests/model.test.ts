import { ApiError } from '../src/api/client';
import { RunModel } from '../src/model/run';
import { RunsModel } from '../src/model/runs';
import { StartedRuns } from '../src/model/started';
import { FakeServer } from './fakes';
import { aChild, aLine, aMessage, aRun, at, settle } from './fixtures';

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

  it('loads the run, its children, theirs, and the log; then follows the stream', async () => {
    await model.load();
    expect(server.asked).toEqual([
      'meta',
      'run root',
      'children root',
      'logs root',
      'children cell'
    ]);
    expect(server.socket.options).toMatchObject({ after: 10, logs: 'root' });
    expect(model.view.rows.map(row => row.run.id)).toEqual(['cell', 'task']);
    expect(model.view.lines).toHaveLength(3);
    const fresh = aChild('fresh', root, { created_at: at(5) });
    server.socket.message.emit(
      aMessage(
        12,
        [fresh, aRun('foreign')],
        [
          {
            seq: 12,
            at: at(12),
            run_id: 'fresh',
            kind: 'log',
            payload: { level: 20, message: 'hello' }
          },
          {
            seq: 11,
            at: at(11),
            run_id: 'foreign',
            kind: 'log',
            payload: { level: 20, message: 'no' }
          }
        ]
      )
    );
    expect(model.view.rows.map(row => row.run.id)).toEqual(['cell', 'task', 'fresh']);
    expect(model.view.lines.map(line => line.seq)).toEqual([1, 2, 3, 12]);
  });

  it('loads what is in open rows at any depth, from the start and when a row is opened', async () => {
    const below = { progress: { total: 1, done: 1, counts: {} } };
    const inner = aChild('inner', cell, { created_at: at(2), ...below }, 'COMPLETED');
    const deep = aChild('deep', inner, { created_at: at(3), ...below }, 'COMPLETED');
    const leaf = aChild('leaf', deep, { created_at: at(4) }, 'COMPLETED');
    server.runs = [root, cell, inner, deep, leaf];
    await model.load();
    const all = ['cell', 'inner', 'deep', 'leaf'];
    expect(model.view.rows.map(row => row.run.id)).toEqual(all);
    const many = { progress: { total: 60, done: 60, counts: {} } };
    server.runs = [root, { ...cell, ...many }, inner, deep, leaf];
    await model.load();
    expect(model.view.rows.map(row => row.run.id)).toEqual(['cell']);
    model.setExpanded('cell', true);
    await settle();
    expect(model.view.rows.map(row => row.run.id)).toEqual(all);
  });

  it('narrows the log to a row and what is below it', async () => {
    await model.load();
    model.select('cell');
    expect(model.view.selected?.id).toBe('cell');
    expect(model.view.lines.map(line => line.seq)).toEqual([1, 2]);
    model.select('cell');
    expect(model.view.selected).toBeNull();
  });

  it('reads the children of a closed row when it is opened', async () => {
    const big = { ...cell, progress: { total: 60, done: 60, counts: {} } };
    server.runs = [root, big, task];
    await model.load();
    expect(server.asked).not.toContain('children cell');
    expect(model.view.rows.map(row => row.expanded)).toEqual([false]);
    model.setExpanded('cell', true);
    model.setExpanded('cell', false);
    model.setExpanded('cell', true);
    await settle();
    expect(server.asked.filter(item => item === 'children cell')).toHaveLength(1);
    expect(model.view.rows.map(row => row.run.id)).toEqual(['cell', 'task']);
  });

  it('reads thousands of children in pages and leaves the rest for a button', async () => {
    server.pageSize = 10;
    server.runs = [
      root,
      ...Array.from({ length: 125 }, (_, n) => aChild(`c${n}`, root, { created_at: at(n) }))
    ];
    await model.load();
    expect(model.view.rows).toHaveLength(100);
    expect(model.view.hasMore).toBe(true);
    await model.loadMore();
    expect(model.view.rows).toHaveLength(125);
    expect(model.view.hasMore).toBe(false);
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

  it('finds the executed notebook, or has it copied to where it can be opened', async () => {
    server.runs = [{ ...root, source: { executed: '/far/x.ipynb', executed_path: null } }];
    await model.load();
    await expect(model.executedNotebook()).resolves.toBe('copy-of-root.ipynb');
    server.refusal = new ApiError(404, 'TargetError', 'gone');
    await expect(model.executedNotebook()).resolves.toBeNull();
    expect(model.view.problem).toBe('gone');
    server.refusal = null;
    server.runs = [{ ...root, source: { executed_path: 'runs/x.ipynb' } }];
    await model.load();
    await expect(model.executedNotebook()).resolves.toBe('runs/x.ipynb');
    expect(server.asked.filter(item => item.startsWith('copy'))).toHaveLength(2);
  });
});
