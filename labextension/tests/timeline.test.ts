import { fireEvent } from '@testing-library/dom';
import { areaPath, COLUMNS, density } from '../src/draw/timeline/density';
import { laneTimes, spanState } from '../src/draw/timeline/lane';
import { Lanes } from '../src/draw/timeline/lanes';
import { homeOf, lifeOf, tickLabel, ticks, TimeWindow } from '../src/draw/timeline/scale';
import { drawTimeline } from '../src/draw/timeline/timeline';
import { tipText } from '../src/draw/timeline/tip';
import type { TreeRow } from '../src/draw/tree';
import { calls, runSpan, someRoot, someState, someTree, T0, treeRow, withRow } from './trees';

const NOW = T0 + 8000;
const all = { from: T0, to: T0 + 8000 };
const SECOND = 1000;
const MINUTE = 60_000;
const HOUR = 3_600_000;

describe('the axis', () => {
  it.each([
    [8 * SECOND, 800, ['0', '1 s', '2 s', '3 s', '4 s', '5 s', '6 s', '7 s', '8 s']],
    [300, 300, ['0', '100 ms', '200 ms', '300 ms']],
    [3 * MINUTE, 600, ['0', '0:30', '1:00', '1:30', '2:00', '2:30', '3:00']],
    [3 * HOUR, 320, ['0', '1:00:00', '2:00:00', '3:00:00']],
    [48 * HOUR, 320, ['0', '12:00:00', '1 d', '1 d 12 h', '2 d']]
  ])('of %d ms on %d px has marks at round times', (length, width, labels) => {
    const found = ticks({ from: T0, to: T0 + length }, T0, width);
    expect(found.map(tick => tick.label)).toEqual(labels);
  });

  it('counts from the start of the run, wherever one looks', () => {
    const found = ticks({ from: T0 + 2100, to: T0 + 4900 }, T0, 300);
    expect(found.map(tick => [tick.label, tick.at - T0])).toEqual([
      ['3 s', 3000],
      ['4 s', 4000]
    ]);
    expect(tickLabel(2500, 500)).toBe('2.5 s');
    expect(tickLabel(-2000, 1000)).toBe('−2 s');
  });

  it('has room for its labels at any length and width', () => {
    for (let length = 1; length < 1e12; length *= 3.7) {
      for (const width of [100, 320, 1100]) {
        const found = ticks({ from: T0, to: T0 + length }, T0, width);
        expect(found.length).toBeLessThanOrEqual(width / 72 + 2);
      }
    }
    expect(ticks({ from: T0, to: T0 }, T0, 300)).toEqual([]);
    expect(ticks(all, T0, 0)).toEqual([]);
  });

  it('covers the life of the run, until now while it lives', () => {
    const tree = someTree([]);
    expect(lifeOf(tree, NOW)).toEqual(all);
    const done = someTree([], { ...someRoot, spans: [runSpan(0, 3)] });
    expect(lifeOf(done, NOW)).toEqual({ from: T0, to: T0 + 3000 });
    const nothing = someTree([], { ...someRoot, spans: [] });
    expect(lifeOf(nothing, T0).to).toBeGreaterThan(T0);
  });

  it('begins with the last attempt where one before was long ago', () => {
    const late = { ...someRoot, attempt: 2, spans: [runSpan(0, 2), runSpan(1000, 1010, 2)] };
    const tree = someTree([], late);
    const life = lifeOf(tree, NOW);
    expect(homeOf(tree, life)).toEqual({ from: T0 + 1_000_000, to: T0 + 1_010_000 });
    const soon = someTree([], { ...late, spans: [runSpan(0, 2), runSpan(3, 10, 2)] });
    expect(homeOf(soon, lifeOf(soon, NOW))).toEqual(lifeOf(soon, NOW));
  });
});

describe('the part of time that is shown', () => {
  function shown(to = 8000): TimeWindow {
    const window = new TimeWindow();
    const life = { from: T0, to: T0 + to };
    window.setLife(life, life);
    return window;
  }
  const range = (window: TimeWindow) => [window.range.from - T0, window.range.to - T0];

  it('is shorter after zooming, about a place', () => {
    const window = shown();
    window.zoom(2, 0.25);
    expect(range(window)).toEqual([1000, 5000]);
    expect(window.zoomed).toBe(true);
    window.zoom(0.1);
    expect(range(window)).toEqual([0, 8000]);
    expect(window.zoomed).toBe(false);
  });

  it('never leaves the life of the run', () => {
    const window = shown();
    window.zoom(4, 0.5);
    window.pan(-100);
    expect(range(window)).toEqual([0, 2000]);
    window.pan(100);
    expect(range(window)).toEqual([6000, 8000]);
    window.zoom(1e9);
    expect(window.range.to - window.range.from).toBeGreaterThanOrEqual(5);
  });

  it('follows the end as time passes, or stays where somebody looks', () => {
    const window = shown();
    window.zoom(4, 1);
    const later = { from: T0, to: T0 + 9000 };
    window.setLife(later, later);
    expect(range(window)).toEqual([7000, 9000]);
    window.pan(-1);
    const latest = { from: T0, to: T0 + 10_000 };
    window.setLife(latest, latest);
    expect(range(window)).toEqual([5000, 7000]);
    window.fit();
    expect(range(window)).toEqual([0, 10_000]);
  });
});

describe('how many runs went on', () => {
  it('is counted column by column', () => {
    const rows = [
      treeRow('a', { spans: [runSpan(0, 4)] }),
      treeRow('b', { spans: [runSpan(2, 8)], state: someState('FAILED') }),
      treeRow('c', { spans: [runSpan(1, 2, 1, 'wait')] })
    ];
    const { all: counts, failed, most } = density(rows, all, NOW);
    expect(counts).toHaveLength(COLUMNS);
    expect([counts[0], counts[60], counts[100], counts[159]]).toEqual([1, 2, 1, 1]);
    expect([failed[0], failed[60]]).toEqual([0, 1]);
    expect(most).toBe(2);
  });

  it('goes to now for what has no end, and leaves out what is not shown', () => {
    const rows = [
      treeRow('a', { spans: [runSpan(4, null)] }),
      treeRow('b', { spans: [runSpan(20, 21)] })
    ];
    const { all: counts } = density(rows, all, NOW);
    expect([counts[79], counts[80], counts[159]]).toEqual([0, 1, 1]);
  });

  it('becomes an area', () => {
    expect(areaPath([0, 1, 2, 2, 0], 2)).toBe('M1 1V0.500H2V0.000H4V1Z');
    expect(areaPath([1], 1)).toBe('M0 1V0.000H1V1Z');
    expect(areaPath([0, 0], 1)).toBe('');
  });
});

describe('lanes', () => {
  it('come in the order of the starts, sub-flows with what is in them, groups closed', () => {
    const tree = someTree([
      treeRow('late', { spans: [runSpan(5, 6)] }),
      treeRow('never', { spans: [], state: someState('PENDING') }),
      treeRow('train', { kind: 'flow', taskName: null, spans: [runSpan(1, 4)] }),
      treeRow('fit', { parentId: 'train', spans: [runSpan(2, 3)] }),
      ...calls('load', 5, at => ({ spans: [runSpan(at, at + 1)] }))
    ]);
    const lanes = new Lanes();
    const names = () => lanes.of(tree).map(({ entry, level }) => `${level} ${entry.key}`);
    expect(names()).toEqual([
      '1 root',
      '2 group:root:load',
      '2 train',
      '3 fit',
      '2 late',
      '2 never'
    ]);
    lanes.setOpen('train', false);
    lanes.openTo('load-3', tree);
    expect(names()).toHaveLength(10);
    expect(names()).not.toContain('3 fit');
    expect(lanes.of(tree)).toBe(lanes.of(tree));
  });

  it('tell what became of each attempt', () => {
    const again = treeRow('a', { attempt: 2, spans: [runSpan(0, 1), runSpan(2, 3, 2)] });
    expect(again.spans.map(span => spanState(span, again))).toEqual(['FAILED', 'COMPLETED']);
    const waits = treeRow('a', {
      state: someState('SCHEDULED', 'AwaitingRetry'),
      spans: [runSpan(0, 1), runSpan(1, null, 1, 'wait')]
    });
    expect(waits.spans.map(span => spanState(span, waits))).toEqual(['FAILED', 'PENDING']);
    const paused = treeRow('a', {
      state: someState('PAUSED'),
      spans: [runSpan(0, 1), runSpan(1, null, 1, 'pause')]
    });
    expect(paused.spans.map(span => spanState(span, paused))).toEqual(['PAUSED', 'PAUSED']);
  });

  it('tell their times in words', () => {
    const row = treeRow('a', { spans: [runSpan(0, 1.5, 1, 'wait'), runSpan(1.5, 4)] });
    const lane = new Lanes().of(someTree([row]))[1];
    expect(laneTimes(lane, T0, NOW)).toBe('started after 1.5 s, took 2.5 s, waited 1.5 s');
    expect(tipText(lane, 1, T0, NOW).split('\n')).toEqual([
      'a: completed',
      'Running: +1.5 s – +4.0 s, 2.5 s',
      expect.stringMatching(/^\d{4}-.* – \d{4}-/)
    ]);
    const open = new Lanes().of(someTree([]))[0];
    expect(laneTimes(open, T0, NOW)).toBe('started after 0.0 s, so far 8 s');
    expect(tipText(open, 0, T0, NOW)).toContain('+0.0 s – now');
  });
});

describe('the timeline', () => {
  const rows: TreeRow[] = [
    treeRow('load', { spans: [runSpan(0, 1, 1, 'wait'), runSpan(1, 3)] }),
    treeRow('fit', {
      state: someState('RUNNING'),
      attempt: 2,
      maxAttempts: 3,
      spans: [runSpan(3, 4), runSpan(4, 5, 1, 'wait'), runSpan(5, null, 2)]
    }),
    ...calls('scan', 200, at => ({
      spans: [runSpan(2, 3 + at / 100)],
      state: someState(at === 7 ? 'FAILED' : 'COMPLETED')
    }))
  ];
  const tree = someTree(rows);

  function drawn(selected: string | null = null) {
    const onSelect = jest.fn();
    const timeline = drawTimeline(onSelect);
    document.body.replaceChildren(timeline.element);
    timeline.update({ tree, selected, now: NOW });
    const { element } = timeline;
    const lane = (key: string) =>
      element.querySelector<HTMLElement>(`.wf-Lane[data-key="${key}"]`)!;
    const list = element.querySelector<HTMLElement>('.wf-Timeline-list')!;
    const labels = () =>
      [...element.querySelectorAll<HTMLElement>('.wf-Axis-label:not([hidden])')].map(
        each => each.textContent
      );
    return { timeline, element, onSelect, lane, list, labels };
  }

  const GROUP = 'group:root:scan';

  it('has a bar for each stretch, of its kind, where it belongs', () => {
    const { lane } = drawn();
    const bars = [...lane('fit').querySelectorAll<HTMLElement>('.wf-Stretch:not([hidden])')];
    expect(bars.map(bar => [bar.dataset.kind, bar.dataset.state])).toEqual([
      ['run', 'FAILED'],
      ['wait', 'PENDING'],
      ['run', 'RUNNING']
    ]);
    expect(bars.map(bar => bar.style.left)).toEqual(['37.500%', '50.000%', '62.500%']);
    expect(bars[2].style.width).toBe('37.500%');
  });

  it('tells each line in words and by an icon', () => {
    const { lane, list } = drawn();
    expect(list.getAttribute('role')).toBe('treegrid');
    const cells = [...lane('load').querySelectorAll('[role="gridcell"]')];
    expect(cells.map(cell => cell.getAttribute('aria-label'))).toEqual([
      'load, completed, 2.0 s',
      'started after 1.0 s, took 2.0 s, waited 1.0 s'
    ]);
    expect(lane(GROUP).querySelector('.wf-Lane-note')!.textContent).toBe('200/200, 1 failed');
    expect(lane(GROUP).getAttribute('aria-expanded')).toBe('false');
    expect(lane(GROUP).querySelector('.wf-StateIcon')!.getAttribute('data-state')).toBe('FAILED');
    expect(lane(GROUP).querySelector('.wf-Lane-all')!.getAttribute('d')).not.toBe('');
    expect(lane(GROUP).querySelector('.wf-Lane-failed')!.getAttribute('d')).not.toBe('');
  });

  it('draws only what is in sight of an opened group', () => {
    const { element, lane } = drawn();
    fireEvent.click(lane(GROUP).querySelector('.wf-Lane-twisty')!);
    expect(lane(GROUP).getAttribute('aria-expanded')).toBe('true');
    expect(lane('scan-0')).not.toBeNull();
    expect(element.querySelectorAll('.wf-Lane').length).toBeLessThan(60);
  });

  it('changes what is there', () => {
    const { timeline, lane } = drawn();
    const [element, bar] = [lane('fit'), lane('fit').querySelector<HTMLElement>('.wf-Stretch')!];
    const done = withRow(tree, 'fit', {
      state: someState('COMPLETED'),
      spans: [runSpan(3, 4), runSpan(4, 5, 1, 'wait'), runSpan(5, 8, 2)]
    });
    timeline.update({ tree: done, selected: null, now: NOW + 8000 });
    expect(lane('fit')).toBe(element);
    expect(lane('fit').querySelector('.wf-Stretch')).toBe(bar);
    expect(bar.style.left).toBe('18.750%');
    expect(element.dataset.state).toBe('COMPLETED');
  });

  it('has the line of now only while the run lives', () => {
    const { timeline, element } = drawn();
    const line = element.querySelector<HTMLElement>('.wf-Axis-now')!;
    expect(line.hidden).toBe(false);
    const root = { ...someRoot, state: someState('COMPLETED'), spans: [runSpan(0, 8)] };
    timeline.update({ tree: someTree(rows, root), selected: null, now: NOW });
    expect(line.hidden).toBe(true);
  });

  it('zooms and pans by keys, wheel and buttons, and comes back', () => {
    const { element, list, labels } = drawn();
    const whole = labels();
    const last = (): string => JSON.stringify(labels());
    fireEvent.keyDown(list, { key: '+' });
    fireEvent.click(element.querySelector('[data-tool="in"]')!);
    expect(labels()).not.toEqual(whole);
    expect(element.dataset.zoomed).toBe('true');
    const zoomed = last();
    fireEvent.keyDown(list, { key: 'ArrowLeft', shiftKey: true });
    fireEvent.keyDown(list, { key: 'ArrowLeft', shiftKey: true });
    fireEvent.keyDown(list, { key: 'ArrowLeft', shiftKey: true });
    expect(last()).not.toBe(zoomed);
    expect(fireEvent.wheel(element, { ctrlKey: true, deltaY: -300 })).toBe(false);
    expect(fireEvent.wheel(element, { deltaY: 30 })).toBe(true);
    fireEvent.keyDown(list, { key: '0' });
    expect(labels()).toEqual(whole);
    expect(element.dataset.zoomed).toBe('false');
  });

  it('is walked, opened and selected by keys', () => {
    const { list, lane, onSelect, timeline } = drawn();
    const key = (name: string) => fireEvent.keyDown(list, { key: name });
    key('ArrowDown');
    key('ArrowDown');
    expect(lane('load').dataset.active).toBe('true');
    key('Enter');
    expect(onSelect).toHaveBeenLastCalledWith('load');
    timeline.update({ tree, selected: 'load', now: NOW });
    expect(lane('load').getAttribute('aria-selected')).toBe('true');
    key('ArrowDown');
    key('ArrowRight');
    expect(lane(GROUP).getAttribute('aria-expanded')).toBe('true');
    key('ArrowRight');
    expect(lane('scan-0').dataset.active).toBe('true');
    key('ArrowLeft');
    key('ArrowLeft');
    expect(lane(GROUP).getAttribute('aria-expanded')).toBe('false');
    key('Escape');
    expect(onSelect).toHaveBeenLastCalledWith(null);
  });

  it('tells times under the mouse and where the keyboard goes', () => {
    const { element, lane, list } = drawn();
    const tip = element.querySelector<HTMLElement>('.wf-Tip')!;
    expect(tip.hidden).toBe(true);
    fireEvent.pointerMove(lane('fit').querySelector('.wf-Stretch')!);
    expect(tip.textContent).toContain('Running, attempt 1, failed: +3.0 s – +4.0 s, 1.0 s');
    fireEvent.pointerLeave(list);
    expect(tip.hidden).toBe(true);
    fireEvent.keyDown(list, { key: 'ArrowDown' });
    fireEvent.keyUp(list, { key: 'ArrowDown' });
    expect(tip.hidden).toBe(false);
    expect(tip.textContent).toContain('nightly, running');
    fireEvent.keyDown(list, { key: 'Escape' });
    expect(tip.hidden).toBe(true);
  });

  it('selects with a click, and shows what was selected elsewhere', () => {
    const { lane, onSelect, timeline } = drawn();
    fireEvent.click(lane('fit').querySelector('.wf-Lane-track')!);
    expect(onSelect).toHaveBeenLastCalledWith('fit');
    timeline.update({ tree, selected: 'scan-2', now: NOW });
    expect(lane('scan-2').getAttribute('aria-selected')).toBe('true');
    expect(lane('scan-2').dataset.active).toBe('true');
  });

  it('leaves no ear behind', () => {
    const { timeline, element, lane, onSelect, labels } = drawn();
    const before = labels();
    timeline.dispose();
    fireEvent.click(lane('load'));
    fireEvent.wheel(element, { ctrlKey: true, deltaY: -300 });
    expect(onSelect).not.toHaveBeenCalled();
    expect(labels()).toEqual(before);
  });
});
