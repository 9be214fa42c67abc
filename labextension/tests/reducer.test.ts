import { NO_FILTER, passes, statesOf } from '../src/model/filter';
import { cancelAccepted, EMPTY_TABLE, isStale, shown, upsert } from '../src/model/table';
import { aRun } from './fixtures';

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
