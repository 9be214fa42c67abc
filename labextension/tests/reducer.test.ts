import { NO_FILTER, passes, statesOf } from '../src/model/filter';
import { addLines, EMPTY_LOGS, lineOf } from '../src/model/logs';
import { cancelAccepted, EMPTY_TABLE, isStale, shown, upsert } from '../src/model/table';
import { belonging, subtreeIds, treeRows } from '../src/model/tree';
import { aChild, aLine, aRun, at } from './fixtures';

describe('the table of runs', () => {
  const pending = aRun('a', {}, 'PENDING', 1);
  const running = aRun('a', {}, 'RUNNING', 2);
  const done = aRun('a', {}, 'COMPLETED', 3);
  const again = aRun('a', { attempt: 2 }, 'RUNNING', 0.5);

  it.each([
    [[pending, running, done], 'COMPLETED'],
    [[done, running, pending], 'COMPLETED'],
    [[running, done, pending], 'COMPLETED'],
    [[done, again, running], 'RUNNING'],
    [[again, done], 'RUNNING']
  ])('keeps the newest picture whatever the order (%#)', (arrivals, type) => {
    const oneByOne = arrivals.reduce((table, run) => upsert(table, [run]), EMPTY_TABLE);
    expect(oneByOne.runs.get('a')?.state.type).toBe(type);
    expect(upsert(EMPTY_TABLE, arrivals).runs.get('a')?.state.type).toBe(type);
  });

  it('does not let progress go back within a state', () => {
    const progress = (finished: number) => ({ total: 3, done: finished, counts: {} });
    const two = aRun('a', { progress: progress(2) });
    const one = aRun('a', { progress: progress(1) });
    expect(isStale(two, one)).toBe(true);
    expect(isStale(one, two)).toBe(false);
    expect(upsert(upsert(EMPTY_TABLE, [two]), [one]).runs.get('a')?.progress?.done).toBe(2);
  });

  it('returns the same table when nothing is new, and never changes an old one', () => {
    const table = upsert(EMPTY_TABLE, [done]);
    expect(upsert(table, [running])).toBe(table);
    upsert(table, [again]);
    expect(table.runs.get('a')).toBe(done);
    expect(EMPTY_TABLE.runs.size).toBe(0);
  });

  it('shows CANCELLING from the acceptance until the end of the attempt', () => {
    const asked = cancelAccepted(upsert(EMPTY_TABLE, [running]), 'a');
    expect(shown(asked, running).state).toMatchObject({ type: 'CANCELLING', name: 'Cancelling' });
    const later = aRun('a', {}, 'RUNNING', 2.5);
    expect(shown(upsert(asked, [later]), later).state.type).toBe('CANCELLING');
    const over = upsert(asked, [done]);
    expect(shown(over, done).state.type).toBe('COMPLETED');
    const next = upsert(asked, [again]);
    expect(shown(next, again).state.type).toBe('RUNNING');
    expect(cancelAccepted(over, 'a')).toBe(over);
    expect(cancelAccepted(over, 'unknown')).toBe(over);
  });
});

describe('the filter', () => {
  it('keeps what the server would', () => {
    const run = aRun('a', { name: 'amber-otter', flow_name: 'Nightly Report' }, 'CRASHED');
    expect(passes(run, NO_FILTER)).toBe(true);
    expect(passes(run, { choice: 'failed', text: ' nightly ' })).toBe(true);
    expect(passes(run, { choice: 'completed', text: '' })).toBe(false);
    expect(passes(run, { choice: 'all', text: 'weekly' })).toBe(false);
    expect(statesOf('failed')).toEqual(['FAILED', 'CRASHED']);
  });
});

describe('the log book', () => {
  it('orders lines, drops repeats, and lets the oldest go', () => {
    const book = addLines(EMPTY_LOGS, [aLine(3, 'a'), aLine(5, 'a')]);
    const more = addLines(book, [aLine(4, 'a'), aLine(5, 'a'), aLine(6, 'a')]);
    expect(more.lines.map(line => line.seq)).toEqual([3, 4, 5, 6]);
    expect(more.dropped).toBe(false);
    const capped = addLines(more, [aLine(7, 'a')], 3);
    expect(capped.lines.map(line => line.seq)).toEqual([5, 6, 7]);
    expect(capped.dropped).toBe(true);
    expect(addLines(capped, [])).toBe(capped);
  });

  it('takes lines from log events only', () => {
    const event = {
      seq: 4,
      at: at(4),
      run_id: 'a',
      kind: 'log',
      payload: { level: 30, logger: 'x', message: 'm' }
    };
    expect(lineOf(event)).toEqual({
      seq: 4,
      at: at(4),
      run_id: 'a',
      level: 30,
      logger: 'x',
      message: 'm'
    });
    expect(lineOf({ ...event, kind: 'state' })).toBeNull();
    expect(lineOf({ ...event, payload: {} })).toMatchObject({ level: 20, message: '' });
  });
});

describe('the tree', () => {
  const root = aRun('root');
  const cell = aChild('cell', root, {
    created_at: at(1),
    progress: { total: 1, done: 0, counts: {} }
  });
  const task = aChild('task', cell, { created_at: at(2) });
  const second = aChild('second', root, { created_at: at(3) });
  const table = upsert(EMPTY_TABLE, [second, task, cell, root]);

  it('shows children below their parents, oldest first', () => {
    const rows = treeRows(table, 'root', new Map());
    expect(rows.map(row => [row.run.id, row.level])).toEqual([
      ['cell', 1],
      ['task', 2],
      ['second', 1]
    ]);
    expect(rows[0]).toMatchObject({ expandable: true, expanded: true });
    expect(rows[2].expandable).toBe(false);
    expect(treeRows(table, 'root', new Map([['cell', false]])).map(row => row.run.id)).toEqual([
      'cell',
      'second'
    ]);
  });

  it('keeps rows with many children closed at first', () => {
    const big = { ...cell, progress: { total: 51, done: 51, counts: {} } };
    expect(
      treeRows(upsert(EMPTY_TABLE, [root, big, task]), 'root', new Map()).map(row => row.run.id)
    ).toEqual(['cell']);
  });

  it('takes from the stream what belongs to the run, whole chains at once', () => {
    const foreign = aRun('foreign');
    const taken = belonging('root', new Map([['root', root]]), [task, foreign, cell]);
    expect(taken.map(run => run.id)).toEqual(['cell', 'task']);
    expect([...subtreeIds(table, 'cell')]).toEqual(['cell', 'task']);
  });
});
