import {
  entryProgress,
  entryState,
  entryStateText,
  entryTimes,
  entryTitle,
  Grouping,
  isGroupKey,
  rowTimes
} from '../src/draw/groups';
import { calls, runSpan, someRoot, someState, someTree, T0, treeRow, withRow } from './trees';

function grouped(tree = someTree([])): Grouping {
  const grouping = new Grouping();
  grouping.update(tree);
  return grouping;
}

const names = (grouping: Grouping, parent = 'root'): string[] =>
  grouping.entries(parent).map(entryTitle);

describe('groups', () => {
  it('leaves up to three calls of a task alone, and makes one of four', () => {
    const rows = calls('load', 3);
    expect(names(grouped(someTree(rows)))).toEqual(['load-0', 'load-1', 'load-2']);
    expect(names(grouped(someTree(calls('load', 4))))).toEqual(['load × 4']);
  });

  it('stands where its first run stood, among what has no task or is alone', () => {
    const rows = [
      treeRow('a'),
      ...calls('load', 5),
      treeRow('cell', { kind: 'cell', taskName: null }),
      treeRow('b')
    ];
    const mixed = [rows[0], rows[1], rows[6], rows[2], rows[3], rows[7], rows[4], rows[5]];
    expect(names(grouped(someTree(mixed)))).toEqual(['a', 'load × 5', 'cell', 'b']);
  });

  it('groups below each parent by itself', () => {
    const flow = (id: string) => treeRow(id, { kind: 'flow', taskName: null });
    const rows = [
      flow('one'),
      flow('two'),
      ...calls('load', 4, index => ({ id: `x${index}`, parentId: 'one' })),
      ...calls('load', 3, index => ({ id: `y${index}`, parentId: 'two' }))
    ];
    const grouping = grouped(someTree(rows));
    expect(names(grouping)).toEqual(['one', 'two']);
    expect(names(grouping, 'one')).toEqual(['load × 4']);
    expect(grouping.entries('two')).toHaveLength(3);
    expect(grouping.entries('nowhere')).toEqual([]);
  });

  it('keeps flows and cells with one name apart', () => {
    const rows = calls('child', 6, () => ({ kind: 'flow', taskName: null }));
    expect(grouped(someTree(rows)).entries('root')).toHaveLength(6);
  });

  it('has a mapped cell as one row with the counts of its items', () => {
    const rows = [
      treeRow('map', { state: someState('RUNNING') }),
      ...calls('map-item', 5, index => ({
        parentId: 'map',
        state: someState(index < 2 ? 'COMPLETED' : 'RUNNING')
      }))
    ];
    const grouping = grouped(someTree(rows));
    const [cell] = grouping.entries('root');
    expect(cell.row?.id).toBe('map');
    expect(entryProgress(cell)).toBe('2 of 5');
    expect(entryState(cell).type).toBe('RUNNING');
    expect(grouping.entries('map')).toHaveLength(5);
  });

  it('counts states, says the worst, and knows the first start and the last end', () => {
    const types = ['COMPLETED', 'COMPLETED', 'FAILED', 'CANCELLED'];
    const rows = calls('load', 4, index => ({
      state: someState(types[index]),
      spans: [runSpan(index, index + 0.5, 1, 'wait'), runSpan(index + 0.5, index + 3)]
    }));
    const [group] = grouped(someTree(rows)).entries('root');
    expect(group.summary).toMatchObject({
      counts: { COMPLETED: 2, FAILED: 1, CANCELLED: 1 },
      total: 4,
      done: 4,
      running: 0,
      failed: 1,
      state: { type: 'FAILED', name: 'Failed' }
    });
    expect(entryTimes(group)).toMatchObject({ startedAt: T0 + 500, endedAt: T0 + 6000 });
    expect(entryStateText(group)).toBe('1 failed, 1 cancelled, 2 completed');
  });

  it.each([
    [['COMPLETED', 'RUNNING', 'PENDING', 'COMPLETED'], 'RUNNING'],
    [['CRASHED', 'RUNNING', 'FAILED', 'COMPLETED'], 'CRASHED'],
    [['COMPLETED', 'COMPLETED', 'COMPLETED', 'CANCELLED'], 'CANCELLED'],
    [['PENDING', 'COMPLETED', 'CANCELLED', 'COMPLETED'], 'PENDING']
  ])('of %j the worst is %s', (types, worst) => {
    const rows = calls('load', 4, index => ({ state: someState(types[index]) }));
    expect(entryState(grouped(someTree(rows)).entries('root')[0]).type).toBe(worst);
  });

  it('takes over a state name where the runs agree on it', () => {
    const skipped = calls('load', 4, () => ({ state: someState('COMPLETED', 'Skipped') }));
    expect(entryState(grouped(someTree(skipped)).entries('root')[0]).name).toBe('Skipped');
    const mixed = calls('load', 4, index => ({
      state: someState('COMPLETED', index === 0 ? 'Cached' : 'Skipped')
    }));
    expect(entryState(grouped(someTree(mixed)).entries('root')[0]).name).toBe('Completed');
  });

  it('has no end while one of its runs goes on', () => {
    const rows = calls('load', 4, index => ({
      state: someState(index === 3 ? 'RUNNING' : 'COMPLETED'),
      spans: [runSpan(0, index === 3 ? null : 2)]
    }));
    expect(entryTimes(grouped(someTree(rows)).entries('root')[0]).endedAt).toBeNull();
    expect(rowTimes(rows[3])).toEqual({ startedAt: T0, endedAt: null });
    const waits = treeRow('w', { state: someState('PENDING'), spans: [runSpan(0, 1, 1, 'wait')] });
    expect(rowTimes(waits)).toEqual({ startedAt: null, endedAt: null });
  });

  it('knows which entry shows a run, and the runs of an opened group', () => {
    const grouping = grouped(someTree([treeRow('a'), ...calls('load', 4)]));
    const [, group] = grouping.entries('root');
    expect(grouping.keyOf('a')).toBe('a');
    expect(grouping.keyOf('load-2')).toBe(group.key);
    expect(isGroupKey(group.key)).toBe(true);
    expect(isGroupKey('a')).toBe(false);
    expect(grouping.keyOf('root')).toBeNull();
    expect(grouping.opened(group).map(entry => entry.key)).toEqual(calls('load', 4).map(r => r.id));
  });
});

describe('updates of groups', () => {
  it('keep every entry that did not change, and the structure', () => {
    const tree = someTree([treeRow('a'), ...calls('load', 100), ...calls('clean', 100)]);
    const grouping = grouped(tree);
    const [a, load, clean] = grouping.entries('root');
    const { structure } = grouping;
    grouping.update(withRow(tree, 'load-7', { state: someState('FAILED') }));
    const after = grouping.entries('root');
    expect(after[0]).toBe(a);
    expect(after[1]).not.toBe(load);
    expect(after[1].summary?.failed).toBe(1);
    expect(after[2]).toBe(clean);
    expect(grouping.structure).toBe(structure);
  });

  it('are nothing where nothing changed', () => {
    const tree = someTree(calls('load', 10));
    const grouping = grouped(tree);
    const entries = grouping.entries('root');
    grouping.update({ ...tree });
    expect(grouping.entries('root')).toBe(entries);
  });

  it('change the structure when a fourth call makes a group, not with the fifth', () => {
    const rows = calls('load', 5);
    const grouping = grouped(someTree(rows.slice(0, 3)));
    const first = grouping.structure;
    grouping.update(someTree(rows.slice(0, 4)));
    expect(names(grouping)).toEqual(['load × 4']);
    const second = grouping.structure;
    expect(second).toBeGreaterThan(first);
    grouping.update(someTree(rows));
    expect(names(grouping)).toEqual(['load × 5']);
    expect(grouping.structure).toBe(second);
  });

  it('bring a new count to the run above', () => {
    const item = (id: string, type: string) =>
      treeRow(id, { parentId: 'map', taskName: 'item', state: someState(type) });
    const tree = someTree([treeRow('map'), item('i1', 'RUNNING'), item('i2', 'RUNNING')]);
    const grouping = grouped(tree);
    expect(entryProgress(grouping.entries('root')[0])).toBe('0 of 2');
    grouping.update(withRow(tree, 'i1', { state: someState('COMPLETED') }));
    expect(entryProgress(grouping.entries('root')[0])).toBe('1 of 2');
  });

  it('begin anew with another run, fewer rows, or a row that moved', () => {
    const grouping = grouped(someTree(calls('load', 6)));
    grouping.update(someTree(calls('load', 2)));
    expect(grouping.entries('root')).toHaveLength(2);
    grouping.update(someTree([treeRow('b', { parentId: 'other' })], { ...someRoot, id: 'other' }));
    expect(names(grouping, 'other')).toEqual(['b']);
    expect(grouping.entries('root')).toEqual([]);
    expect(grouping.keyOf('load-0')).toBeNull();
    grouping.update(someTree([treeRow('b', { parentId: 'root' })], { ...someRoot, id: 'other' }));
    expect(names(grouping, 'root')).toEqual(['b']);
    expect(grouping.entries('other')).toEqual([]);
  });

  it('see what has changed in a list of rows that stays the same list', () => {
    const rows = [...calls('load', 4)];
    const grouping = grouped(someTree(rows));
    const [before] = grouping.entries('root');
    rows[2] = { ...rows[2], state: someState('FAILED') };
    rows.push(treeRow('b', { upstream: ['load-0'] }));
    const { links } = grouping;
    grouping.update(someTree(rows));
    const [after, b] = grouping.entries('root');
    expect([before.summary?.failed, after.summary?.failed, b.key]).toEqual([0, 1, 'b']);
    expect(grouping.links).toBeGreaterThan(links);
  });

  it('touch only what changed among 10,000 rows', () => {
    let tree = someTree(calls('load', 10_000));
    const grouping = grouped(tree);
    grouping.entries('root');
    tree = withRow(tree, 'load-9999', { state: someState('RUNNING') });
    grouping.update(tree);
    const [group] = grouping.entries('root');
    expect(group.summary).toMatchObject({ total: 10_000, done: 9_999, running: 1 });
    expect(group.rows[0]).toBe(tree.rows[0]);
  });
});
