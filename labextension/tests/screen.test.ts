import { newMemory, Screen, type ScreenMemory } from '../src/draw/screen';
import { TreeModel } from '../src/model/treeModel';
import type { TreeJSON } from '../src/api/tree';
import { aChild, aRun } from './fixtures';
import { aTree, bigTree, changedJSON, lineJSON, treeJSON } from './messages';

const root = aRun('root', { flow_name: 'report', parameters: { day: '2026-01-31', limit: 5 } });
const error = { type: 'ValueError', message: 'no rows', traceback: 'line 1\nline 2' };
const load = aChild('load', root, { name: 'load', attempt: 2, max_attempts: 3 }, 'COMPLETED');
const clean = aChild('clean', root, { name: 'clean', kind: 'flow' });
const drop = aChild('drop', clean, { name: 'drop', error }, 'FAILED');
const lines = [
  lineJSON(1, 0, 'reading the file'),
  lineJSON(2, 2, 'two\nlines', 40),
  lineJSON(3, 1, 'reading again', 30),
  lineJSON(4, -1, 'the end', 10)
];

let screen: Screen;
let model: TreeModel;
let memory: ScreenMemory;

function show(message: TreeJSON): void {
  model = new TreeModel();
  model.take(message);
  memory = newMemory();
  screen = new Screen(model, { actions: [], memory });
  document.body.append(screen.element);
}

const frame = (): void => void jest.advanceTimersByTime(20);
const one = (selector: string): HTMLElement => screen.element.querySelector<HTMLElement>(selector)!;
const all = (selector: string): HTMLElement[] => [
  ...screen.element.querySelectorAll<HTMLElement>(selector)
];
const texts = (selector: string): string[] => all(selector).map(each => each.textContent ?? '');
const names = (): string[] => texts('.wf-Task-name');
const press = (element: HTMLElement, key: string, more: KeyboardEventInit = {}): void =>
  void element.dispatchEvent(
    new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })
  );
function type(selector: string, value: string): void {
  const input = one(selector) as HTMLInputElement;
  input.value = value;
  input.dispatchEvent(new Event('input'));
}

beforeEach(() => {
  jest.useFakeTimers();
  show({ ...treeJSON(root, [load, clean, drop]), lines });
});

afterEach(() => {
  screen.dispose();
  screen.element.remove();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('the tabs', () => {
  const tab = (id: string): HTMLElement => one(`[data-tab=${id}]`);
  const open = (): string[] =>
    all('[role=tabpanel]:not([hidden])').map(panel => panel.dataset.panel!);

  it('are named, one at a time in the order of Tab, and walked by arrows', () => {
    expect(texts('[role=tab]:not([hidden])')).toEqual(['Tasks 3', 'Graph', 'Timeline', 'Logs']);
    expect(open()).toEqual(['tasks']);
    for (const [key, now] of [
      ['ArrowRight', 'graph'],
      ['End', 'logs'],
      ['ArrowRight', 'tasks'],
      ['ArrowLeft', 'logs'],
      ['Home', 'tasks']
    ]) {
      press(one('[role=tab][aria-selected=true]'), key);
      expect(open()).toEqual([now]);
      expect(document.activeElement).toBe(tab(now));
      expect(all('[role=tab][tabindex="0"]')).toEqual([tab(now)]);
    }
    const panel = one('[role=tabpanel]');
    expect(panel.getAttribute('aria-labelledby')).toBe(tab('tasks').id);
    expect(tab('tasks').getAttribute('aria-controls')).toBe(panel.id);
  });

  it('are not there for a run that has nothing below it', () => {
    screen.dispose();
    show(aTree({ run: root, lines: [lineJSON(1, -1, 'alone')] }));
    expect(one('.wf-Tabs').hidden).toBe(true);
    expect(open()).toEqual(['logs']);
    expect(texts('.wf-Log-text')).toEqual(['alone']);
    screen.dispose();
    const again = { ...root, attempt: 2 };
    show(aTree({ run: again, changed: [changedJSON(-1, again)] }));
    expect(texts('[role=tab]:not([hidden])')).toEqual(['Timeline', 'Logs']);
  });

  it('are drawn when they are opened, and only the open one is painted', () => {
    expect(one('.wf-Graph')).toBeNull();
    tab('logs').click();
    expect(all('.wf-Log')).toHaveLength(4);
    const before = one('.wf-Tasks').textContent;
    const done = aChild('clean', root, {}, 'COMPLETED');
    model.take(aTree({ seq: 2, reset: false, run: root, changed: [changedJSON(1, done)] }));
    screen.invalidate();
    frame();
    expect(one('.wf-Tasks').textContent).toBe(before);
    tab('tasks').click();
    expect(one('.wf-Tasks').textContent).not.toBe(before);
    tab('graph').click();
    expect(one('.wf-Graph')).not.toBeNull();
  });

  it('paint once in a frame, whatever comes', () => {
    let painted = 0;
    screen.element.addEventListener('wf:painted', () => (painted += 1));
    for (let turn = 0; turn < 50; turn++) {
      screen.invalidate();
    }
    expect(painted).toBe(0);
    frame();
    expect(painted).toBe(1);
  });

  it('share what is chosen', () => {
    one('.wf-Task[data-key=drop]').click();
    frame();
    expect(one('.wf-Task[data-key=drop]').getAttribute('aria-selected')).toBe('true');
    tab('logs').click();
    expect(texts('.wf-Log-text')).toEqual(['two']);
    expect(one('.wf-Logs-only').textContent).toBe('Only drop ✕');
    expect(one('.wf-Details-name').textContent).toBe('drop');
    one('.wf-Logs-only').click();
    frame();
    expect(texts('.wf-Log-text')).toHaveLength(4);
    expect(one('.wf-Details').hidden).toBe(true);
    one('.wf-Log-run').click();
    frame();
    tab('tasks').click();
    expect(one('.wf-Task[aria-selected=true]').dataset.key).toBe('load');
  });
});

describe('the header', () => {
  it('opens the parameters to a list', () => {
    const toggle = one('.wf-Parameters-toggle');
    expect(toggle.textContent).toBe('▸2 parametersday = "2026-01-31", limit = 5');
    expect(one('.wf-Parameters-list').hidden).toBe(true);
    toggle.click();
    expect(texts('.wf-Parameters-pair')).toEqual(['day"2026-01-31"', 'limit5']);
    expect(toggle.getAttribute('aria-expanded')).toBe('true');
  });

  it('shows the run’s error only where no row has it', () => {
    const failed = aRun('root', { error }, 'FAILED');
    screen.dispose();
    show(treeJSON(failed, [load]));
    expect(one('.wf-Head .wf-Error').hidden).toBe(false);
    screen.dispose();
    show(treeJSON(failed, [load, clean, drop]));
    expect(one('.wf-Head .wf-Error').hidden).toBe(true);
  });

  it('says why what is there is out of date', () => {
    screen.dispose();
    show(aTree({ run: root, stale: 'load has run again' }));
    expect(one('.wf-Head-stale').textContent).toBe('Out of date: load has run again');
  });
});

describe('the tasks', () => {
  const list = (): HTMLElement => one('.wf-Tasks-list');
  const active = (): string | undefined => one('.wf-Task[data-active=true]')?.dataset.key;

  it('are a tree that is walked, opened and closed by keys', () => {
    expect(all('.wf-Task').map(row => [row.dataset.key, row.getAttribute('aria-level')])).toEqual([
      ['load', '1'],
      ['clean', '1'],
      ['drop', '2']
    ]);
    for (const [key, at] of [
      ['ArrowDown', 'load'],
      ['ArrowDown', 'clean'],
      ['ArrowRight', 'drop'],
      ['ArrowLeft', 'clean']
    ]) {
      press(list(), key);
      expect(active()).toBe(at);
    }
    expect(list().getAttribute('aria-activedescendant')).toBe(one('[data-active=true]').id);
    press(list(), 'ArrowLeft');
    expect(names()).toEqual(['load', 'clean']);
    press(list(), 'ArrowRight');
    expect(names()).toEqual(['load', 'clean', 'drop']);
    press(list(), 'End');
    press(list(), 'Enter');
    frame();
    expect(memory.selected).toBe('drop');
    press(list(), 'Escape');
    frame();
    expect(memory.selected).toBeNull();
  });

  it('say their state in words and shapes, their attempts, and what went wrong', () => {
    const [first, , third] = all('.wf-Task');
    expect(first.querySelector('.wf-Task-word')!.textContent).toBe('Completed');
    expect(first.querySelector('.wf-Task-parts')!.textContent).toBe('↻ 2/3');
    expect(first.querySelector('.wf-StateIcon')!.getAttribute('data-state')).toBe('COMPLETED');
    expect(third.querySelector('.wf-Task-said')!.textContent).toBe('▸ ValueError: no rows');
  });

  it('open an error to its traceback in place', () => {
    const traceback = (): HTMLElement => one('[data-key=drop] .wf-Error-traceback');
    expect(traceback().hidden).toBe(true);
    one('[data-key=drop] .wf-Task-said').click();
    expect(traceback().textContent).toBe('line 1\nline 2');
    expect(one('[data-key=drop]').dataset.open).toBe('true');
    expect(memory.selected).toBeNull();
    press(list(), 'e');
    expect(traceback().hidden).toBe(true);
  });

  it('are narrowed by state and by text, below what they lie in', () => {
    expect(all('.wf-Chip:not([hidden])').map(chip => chip.textContent)).toEqual([
      'completed1',
      'failed1',
      'running1'
    ]);
    one('.wf-Chip[data-state=FAILED]').click();
    expect(names()).toEqual(['clean', 'drop']);
    expect(one('.wf-Chip[data-state=FAILED]').getAttribute('aria-pressed')).toBe('true');
    one('.wf-Chip[data-state=COMPLETED]').click();
    expect(names()).toEqual(['load', 'clean', 'drop']);
    type('.wf-Tasks-search', 'LOA');
    expect(names()).toEqual(['load']);
    type('.wf-Tasks-search', 'nothing like it');
    expect(names()).toEqual([]);
    expect(one('.wf-Tasks .wf-Empty').textContent).toBe('No task fits the filter.Show all');
    one('.wf-Tasks .wf-Empty button').click();
    expect(names()).toEqual(['load', 'clean', 'drop']);
  });

  it('are one row where one task was called often, which opens', () => {
    screen.dispose();
    show(bigTree(40, 4));
    expect(names()).toEqual(['step0 × 10', 'step1 × 10', 'step2 × 10', 'step3 × 10']);
    expect(one('.wf-Task-parts').textContent).toBe('0 of 10');
    expect(one('.wf-Task-said').textContent).toBe('10 running');
    one('.wf-Task').click();
    expect(names().slice(0, 3)).toEqual(['step0 × 10', 'step0-0', 'step0-4']);
    expect(all('.wf-Task')[1].getAttribute('aria-level')).toBe('2');
  });

  it('are revealed where another tab chooses one that is hidden', () => {
    screen.dispose();
    show(bigTree(40, 4));
    screen.select('r6');
    frame();
    expect(one('.wf-Task[aria-selected=true]').dataset.key).toBe('r6');
  });

  it('are drawn only as far as they are in sight', () => {
    screen.dispose();
    show(bigTree(10_000, 10_000));
    expect(all('.wf-Task').length).toBeLessThan(60);
    expect(list().getAttribute('aria-rowcount')).toBe('10000');
    press(list(), 'Home');
    const [first] = all('.wf-Task');
    expect(first.dataset.index).toBe('0');
    expect(one('.wf-List-body').style.height).toBe('240000px');
  });
});

describe('the log', () => {
  const list = (): HTMLElement => one('.wf-Logs-list');
  const follow = (): HTMLInputElement => one('.wf-Logs-follow input') as HTMLInputElement;

  beforeEach(() => {
    one('[data-tab=logs]').click();
  });

  it('is narrowed by level', () => {
    const level = one('.wf-Logs-level') as HTMLSelectElement;
    level.value = '30';
    level.dispatchEvent(new Event('change'));
    expect(texts('.wf-Log-level')).toEqual(['ERROR', 'WARNING']);
    level.value = '0';
    level.dispatchEvent(new Event('change'));
    expect(texts('.wf-Log-level')).toEqual(['INFO', 'ERROR', 'WARNING', 'DEBUG']);
  });

  it('marks what is looked for, counts it, and goes from one to the next', () => {
    const found = (): string | null => one('.wf-Logs-found').textContent;
    type('.wf-Logs-search', 'READing');
    expect(texts('mark')).toEqual(['reading', 'reading']);
    expect(found()).toBe('2 of 2');
    expect(one('[data-current=true] .wf-Log-text').textContent).toBe('reading again');
    press(one('.wf-Logs-search'), 'Enter');
    expect(found()).toBe('1 of 2');
    press(one('.wf-Logs-search'), 'Enter', { shiftKey: true });
    expect(found()).toBe('2 of 2');
    type('.wf-Logs-search', 'zzz');
    expect(found()).toBe('no match');
    type('.wf-Logs-search', '');
    expect(all('mark')).toHaveLength(0);
  });

  it('opens a text of several lines', () => {
    const row = (): HTMLElement => all('.wf-Log')[1];
    expect(row().querySelector('.wf-Log-text')!.textContent).toBe('two');
    expect(row().querySelector('.wf-Log-more')!.textContent).toBe('+1 line');
    row().click();
    expect(row().querySelector('.wf-Log-text')!.textContent).toBe('two\nlines');
  });

  it('follows the newest line until the reader scrolls up', () => {
    Object.defineProperty(list(), 'clientHeight', { get: () => 38 });
    Object.defineProperty(list(), 'scrollHeight', { get: () => 19 * 5 });
    expect(follow().checked).toBe(true);
    model.take(aTree({ seq: 2, reset: false, run: root, lines: [lineJSON(5, 0, 'new')] }));
    screen.invalidate();
    frame();
    expect(list().scrollTop).toBe(95);
    list().dispatchEvent(new Event('scroll'));
    list().scrollTop = 0;
    list().dispatchEvent(new Event('scroll'));
    frame();
    expect(follow().checked).toBe(false);
    follow().click();
    expect(list().scrollTop).toBe(95);
  });

  it('says when there is nothing, and how there would be', () => {
    screen.dispose();
    show(treeJSON(root, [load]));
    one('[data-tab=logs]').click();
    expect(one('.wf-Logs .wf-Empty').textContent).toContain('No log lines yet');
  });
});

describe('the details', () => {
  it('tell the state, the times, the attempts and the error of what is chosen', () => {
    one('.wf-Task[data-key=drop]').click();
    frame();
    expect(one('.wf-Details .wf-Badge').textContent).toBe('Failed');
    expect(one('.wf-Details-error').textContent).toBe('ValueError: no rows');
    expect(one('.wf-Details .wf-Error-traceback').textContent).toBe('line 1\nline 2');
    one('.wf-Details-close').click();
    frame();
    expect(one('.wf-Details').hidden).toBe(true);
    one('.wf-Task[data-key=load]').click();
    frame();
    expect(texts('.wf-Details .wf-Fact')).toEqual(
      expect.arrayContaining(['Ran1.0 s', 'Attempt2/3', 'Runload'])
    );
  });

  it('ask for the parameters where somebody can be asked', async () => {
    screen.dispose();
    const asked: string[] = [];
    model = new TreeModel();
    model.take(treeJSON(root, [load]));
    screen = new Screen(model, {
      actions: [],
      memory: newMemory(),
      describe: id => {
        asked.push(id);
        return Promise.resolve({ ...load, parameters: { path: 'a.csv' } });
      }
    });
    document.body.append(screen.element);
    one('.wf-Task').click();
    frame();
    await Promise.resolve();
    screen.invalidate();
    frame();
    expect(asked).toEqual(['load']);
    expect(one('.wf-Details .wf-Parameters-line').textContent).toBe('path = "a.csv"');
  });
});

describe('keys', () => {
  it('without a modifier are kept from the notebook, others are not', () => {
    const list = one('.wf-Tasks-list');
    list.focus();
    press(list, 'ArrowDown');
    expect(list.hasAttribute('data-lm-suppress-shortcuts')).toBe(true);
    press(list, 's', { ctrlKey: true });
    expect(list.hasAttribute('data-lm-suppress-shortcuts')).toBe(false);
    list.blur();
    press(list, 'ArrowDown');
    expect(list.hasAttribute('data-lm-suppress-shortcuts')).toBe(false);
  });
});
