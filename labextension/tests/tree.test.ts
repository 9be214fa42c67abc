import { LogBuffer } from '../src/model/logBuffer';
import { enter, readSpans } from '../src/model/spans';
import { belonging, lineOf, takeStream } from '../src/model/stream';
import { TreeModel } from '../src/model/treeModel';
import { aChild, aLine, aLogEvent, aMessage, aRun, aStateEvent, at } from './fixtures';
import { aTree, bigTree, changedJSON, lineJSON, madeJSON, treeJSON } from './messages';

const root = aRun('root', { started_at: at(0) });
const cell = aChild('cell', root, { created_at: at(1), kind: 'cell' });
const task = aChild('task', cell, { created_at: at(2), task_name: 'load' });
const ms = (seconds: number): number => Date.parse(at(seconds));

function modelOf(...messages: Parameters<TreeModel['take']>[0][]): TreeModel {
  const model = new TreeModel();
  messages.forEach(message => model.take(message));
  return model;
}

describe('the tree of a run', () => {
  it('is made of a whole message', () => {
    const model = modelOf(treeJSON(root, [cell, task], [aLine(3, 'task')]));
    const tree = model.tree!;
    expect(tree.root).toMatchObject({ id: 'root', parentId: null, state: { type: 'RUNNING' } });
    expect(tree.rows.map(row => [row.id, row.parentId, row.taskName])).toEqual([
      ['cell', 'root', null],
      ['task', 'cell', 'load']
    ]);
    expect(tree.byId.get('task')).toBe(tree.rows[1]);
    expect(tree.rows[1].spans).toEqual([{ kind: 'run', attempt: 1, from: ms(0), to: null }]);
    expect(model.logs.lines).toMatchObject([{ key: 3, runId: 'task', message: 'line 3' }]);
    expect([...model.counts]).toEqual(
      [
        ['RUNNING', 2],
        ['PENDING', 0]
      ].reverse()
    );
  });

  it('takes changes: what changed is a new object, the rest is the same', () => {
    const model = modelOf(treeJSON(root, [cell, task]));
    const before = model.tree!;
    const done = aChild('task', cell, { created_at: at(2) }, 'COMPLETED');
    const more = aChild('more', root, { created_at: at(3) }, 'PENDING');
    const taken = model.take(
      aTree({
        seq: 2,
        reset: false,
        made: [madeJSON(2, more)],
        changed: [changedJSON(1, done, 'all done'), changedJSON(2, more)]
      })
    );
    expect(taken).toBe('taken');
    const after = model.tree!;
    expect(after).not.toBe(before);
    expect(before.rows).toHaveLength(2);
    expect(after.rows[0]).toBe(before.rows[0]);
    expect(after.rows[1]).not.toBe(before.rows[1]);
    expect(after.rows[1]).toMatchObject({ state: { type: 'COMPLETED' }, lastLog: 'all done' });
    expect(after.rows[2]).toMatchObject({ id: 'more', parentId: 'root' });
    expect(Object.fromEntries(model.counts)).toEqual({ RUNNING: 1, COMPLETED: 1, PENDING: 1 });
  });

  it('gives a run another name without forgetting how it is', () => {
    const model = modelOf(treeJSON(root, [cell]));
    model.take(aTree({ seq: 2, reset: false, made: [madeJSON(0, { ...cell, name: 'new' })] }));
    expect(model.tree!.rows[0]).toMatchObject({ name: 'new', state: { type: 'RUNNING' } });
    expect(model.tree!.rows).toHaveLength(1);
  });

  it('tells a gap from what is old', () => {
    const model = new TreeModel();
    expect(model.take(aTree({ seq: 4, reset: false }))).toBe('gap');
    expect(model.take(aTree({ seq: 4 }))).toBe('taken');
    expect(model.take(aTree({ seq: 4, reset: false }))).toBe('old');
    expect(model.take(aTree({ seq: 3 }))).toBe('old');
    expect(model.take(aTree({ seq: 6, reset: false }))).toBe('gap');
    expect(model.take(aTree({ seq: 5, reset: false }))).toBe('taken');
    expect(model.take(aTree({ seq: 6, reset: false, made: [madeJSON(3, cell)] }))).toBe('gap');
    expect(model.take(aTree({ seq: 9 }))).toBe('taken');
    expect(model.seq).toBe(9);
  });

  it('begins anew with another run, whatever its number', () => {
    const model = modelOf(treeJSON(root, [cell], [aLine(3, 'cell')], 8));
    const other = aRun('other');
    expect(model.take(treeJSON(other, [], [], 2))).toBe('taken');
    expect(model.tree!.rows).toEqual([]);
    expect(model.logs.lines).toEqual([]);
    expect(model.run!.id).toBe('other');
  });

  it('knows the clock of who sends', () => {
    jest.useFakeTimers();
    try {
      const model = modelOf(aTree());
      expect(model.now()).toBe(ms(5));
      jest.advanceTimersByTime(3000);
      expect(model.now()).toBe(ms(8));
      model.freeze();
      jest.advanceTimersByTime(3000);
      expect(model.now()).toBe(ms(8));
      expect(model.ticks).toBe(false);
      model.take(aTree({ seq: 2, reset: false, live: false, now: at(20) }));
      jest.advanceTimersByTime(3000);
      expect(model.now()).toBe(ms(20));
    } finally {
      jest.useRealTimers();
    }
  });

  it('changes one of 10,000 rows by touching that one', () => {
    const model = modelOf(bigTree(10_000));
    const before = model.tree!;
    const changed = changedJSON(5000, aRun('r5000', {}, 'COMPLETED'));
    model.take(aTree({ seq: 2, reset: false, changed: [changed] }));
    const different = model.tree!.rows.filter((row, index) => row !== before.rows[index]);
    expect(different.map(row => row.id)).toEqual(['r5000']);
    expect(model.tree!.byId).toBe(before.byId);
  });
});

describe('spans', () => {
  it('are four items each', () => {
    expect(readSpans(['wait', 1, 10, 20, 'run', 1, 20, null])).toEqual([
      { kind: 'wait', attempt: 1, from: 10, to: 20 },
      { kind: 'run', attempt: 1, from: 20, to: null }
    ]);
  });

  it('follow the states, and take what is known already as known', () => {
    const states: [string, string, number, number][] = [
      ['PENDING', 'Pending', 1, 0],
      ['RUNNING', 'Running', 1, 10],
      ['SCHEDULED', 'AwaitingRetry', 1, 20],
      ['RUNNING', 'Retrying', 2, 30],
      ['PAUSED', 'Paused', 2, 40],
      ['RUNNING', 'Running', 2, 50],
      ['COMPLETED', 'Completed', 2, 60]
    ];
    const go = (spans: ReturnType<typeof readSpans>): ReturnType<typeof readSpans> =>
      states.reduce<readonly (typeof spans)[number][]>(
        (done, [type, name, attempt, time]) => enter(done, { type, name }, attempt, time),
        spans
      ) as typeof spans;
    const spans = go([]);
    expect(spans.map(({ kind, attempt, from, to }) => [kind, attempt, from, to])).toEqual([
      ['wait', 1, 0, 10],
      ['run', 1, 10, 20],
      ['wait', 1, 20, 30],
      ['run', 2, 30, 40],
      ['pause', 2, 40, 50],
      ['run', 2, 50, 60]
    ]);
    expect(go(spans)).toBe(spans);
    expect(enter([], { type: 'PENDING', name: 'NotReady' }, 1, 5)).toEqual([]);
  });
});

describe('the stream', () => {
  it('brings runs, their times and their lines into the tree', () => {
    const model = modelOf(treeJSON(root, [cell], [], 10));
    const before = model.tree!.rows[0];
    const taken = takeStream(
      model,
      aMessage(
        14,
        [
          aChild('task', cell, {
            created_at: at(6),
            kind: 'flow',
            flow_name: 'clean',
            name: 'odd'
          }),
          aRun('stranger')
        ],
        [
          aStateEvent(11, 'task', 'PENDING', 6),
          aStateEvent(12, 'task', 'RUNNING', 7),
          aLogEvent(13, 'task', 'hello'),
          aLogEvent(14, 'stranger', 'psst')
        ]
      )
    );
    expect(taken).toBe(true);
    const [same, made] = model.tree!.rows;
    expect(same).toBe(before);
    expect(made).toMatchObject({
      id: 'task',
      parentId: 'cell',
      name: 'clean · odd',
      lastLog: 'hello'
    });
    expect(made.spans).toEqual([
      { kind: 'wait', attempt: 1, from: ms(6), to: ms(7) },
      { kind: 'run', attempt: 1, from: ms(7), to: null }
    ]);
    expect(model.logs.lines.map(line => line.message)).toEqual(['hello']);
    expect(takeStream(model, aMessage(15, [aRun('stranger')]))).toBe(false);
  });

  it('ends the run', () => {
    const model = modelOf(treeJSON(root, [], [], 10));
    takeStream(
      model,
      aMessage(
        11,
        [aRun('root', { can_retry: true }, 'FAILED')],
        [aStateEvent(11, 'root', 'FAILED', 9)]
      )
    );
    expect(model).toMatchObject({ live: false, canRetry: true });
    expect(model.tree!.root).toMatchObject({ state: { type: 'FAILED' } });
    expect(model.tree!.root.spans.at(-1)).toMatchObject({ kind: 'run', to: ms(9) });
  });

  it('takes from the stream what belongs to the run, whole chains at once', () => {
    const taken = belonging('root', new Map([['root', root]]), [task, aRun('foreign'), cell]);
    expect(taken.map(run => run.id)).toEqual(['cell', 'task']);
  });

  it('takes lines from log events only', () => {
    const event = aLogEvent(4, 'a', 'm', 30);
    expect(lineOf(event)).toEqual({ key: 4, at: ms(4), runId: 'a', level: 30, message: 'm' });
    expect(lineOf({ ...event, kind: 'state' })).toBeNull();
    expect(lineOf({ ...event, payload: {} })).toMatchObject({ level: 20, message: '' });
  });
});

describe('the log buffer', () => {
  const line = (key: number): Parameters<LogBuffer['add']>[0][number] => ({
    key,
    at: key,
    runId: 'a',
    level: 20,
    message: String(key)
  });

  it('drops repeats and lets the oldest go', () => {
    const logs = new LogBuffer(3);
    logs.add([line(1), line(2)]);
    logs.add([line(2), line(3)]);
    expect(logs.lines.map(({ key }) => key)).toEqual([1, 2, 3]);
    expect(logs.dropped).toBe(false);
    const { version } = logs;
    logs.add([line(3)]);
    expect(logs.version).toBe(version);
    logs.add([line(4)]);
    expect(logs.lines.map(({ key }) => key)).toEqual([2, 3, 4]);
    expect(logs.dropped).toBe(true);
    expect(logs.version).not.toBe(version);
  });

  it('is told of lines that the sender dropped, and of lines of a whole tree that it has', () => {
    const model = modelOf(aTree({ lines: [lineJSON(1, -1, 'a'), lineJSON(2, -1, 'b')] }));
    model.take(aTree({ seq: 2, lines: [lineJSON(2, -1, 'b'), lineJSON(3, -1, 'c')], dropped: 1 }));
    expect(model.logs.lines.map(({ message }) => message)).toEqual(['a', 'b', 'c']);
    expect(model.logs.dropped).toBe(true);
  });
});
