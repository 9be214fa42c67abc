import makeWidget from '../src/widget/run_view';
import type { RunViewMessage, WidgetModel } from '../src/widget/session';
import type { TreeJSON } from '../src/api/tree';
import { aChild, aLine, aRun, at, MARKUP } from './fixtures';
import { aTree, changedJSON, lineJSON, madeJSON, treeJSON } from './messages';

type Callback = (content?: unknown) => void;

/** The kernel's side of the widget, played by the test. */
class FakeModel implements WidgetModel {
  sent: RunViewMessage[] = [];
  mode = 'full';
  private readonly callbacks = new Map<string, Set<Callback>>();
  constructor(public view: Partial<TreeJSON>) {}
  get(name: string): unknown {
    return name === 'view' ? this.view : this.mode;
  }
  send(message: RunViewMessage): void {
    this.sent.push(message);
  }
  on(event: string, callback: Callback): void {
    this.callbacks.set(event, (this.callbacks.get(event) ?? new Set()).add(callback));
  }
  off(event: string, callback: Callback): void {
    this.callbacks.get(event)?.delete(callback);
  }
  fire(event: string, content?: unknown): void {
    this.callbacks.get(event)?.forEach(callback => callback(content));
  }
  /** Send a message, and let the next frame be painted. */
  tell(tree: Partial<TreeJSON>): void {
    this.fire('msg:custom', { type: 'tree', tree });
    jest.advanceTimersByTime(20);
  }
  get listeners(): number {
    return [...this.callbacks.values()].reduce((sum, set) => sum + set.size, 0);
  }
}

const root = aRun('run', { progress: { total: 3, done: 1, counts: { COMPLETED: 1, RUNNING: 1 } } });
const a = aChild('a', root, { name: 'task a' }, 'COMPLETED');
const b = aChild('b', root, { name: 'task b' });

let el: HTMLElement;
let undo: (() => void)[];

function mount(view: Partial<TreeJSON>, mode = 'full'): FakeModel {
  const model = new FakeModel(view);
  model.mode = mode;
  const widget = makeWidget();
  undo.push(widget.initialize({ model }), widget.render({ model, el }));
  return model;
}

const one = (selector: string): HTMLElement => el.querySelector<HTMLElement>(selector)!;
const button = (name: string): HTMLButtonElement => one(`.wf-Do-${name}`) as HTMLButtonElement;
const rows = (): HTMLElement[] => [...el.querySelectorAll<HTMLElement>('.wf-Task')];

beforeEach(() => {
  jest.useFakeTimers();
  el = document.createElement('div');
  document.body.append(el);
  undo = [];
});

afterEach(() => {
  undo.reverse().forEach(each => each());
  el.remove();
  jest.useRealTimers();
});

describe('the RunView widget', () => {
  it('waits for the first tree', () => {
    const model = mount({});
    expect(one('.wf-RunView').hidden).toBe(true);
    model.view = treeJSON(root, [a, b]);
    model.fire('change:view');
    expect(one('.wf-RunView').hidden).toBe(false);
    expect(one('.wf-RunView').dataset.state).toBe('RUNNING');
    expect(rows()).toHaveLength(2);
  });

  it('follows the messages in place', () => {
    const model = mount(treeJSON(root, [a, b]));
    const [first, second] = rows();
    const badge = one('.wf-Badge');
    button('cancel').focus();
    model.tell(
      aTree({
        seq: 2,
        reset: false,
        run: root,
        made: [madeJSON(2, aChild('c', root))],
        changed: [
          changedJSON(1, aChild('b', root, {}, 'FAILED')),
          changedJSON(2, aChild('c', root))
        ]
      })
    );
    expect(rows()).toHaveLength(3);
    expect(rows()[0]).toBe(first);
    expect(rows()[1]).toBe(second);
    expect(second.dataset.state).toBe('FAILED');
    expect(one('.wf-Badge')).toBe(badge);
    expect(document.activeElement).toBe(button('cancel'));
  });

  it('asks for the whole tree once where a message is missing', () => {
    const model = mount(treeJSON(root, [a, b]));
    model.tell(aTree({ seq: 3, reset: false, run: root }));
    model.tell(aTree({ seq: 4, reset: false, run: root }));
    expect(model.sent).toEqual([{ type: 'sync' }]);
    model.tell(treeJSON(root, [a], [], 4));
    expect(rows()).toHaveLength(1);
    model.tell(aTree({ seq: 9, reset: false, run: root }));
    expect(model.sent).toHaveLength(2);
  });

  it('leaves alone what is no tree', () => {
    const model = mount(treeJSON(root, [a]));
    model.fire('msg:custom', { type: 'other', tree: {} });
    model.fire('msg:custom', null);
    model.tell({ seq: 7 });
    expect(rows()).toHaveLength(1);
    expect(model.sent).toEqual([]);
  });

  it('ticks between messages by the clock of the kernel, and stops at the end', () => {
    const model = mount(treeJSON(root, [a, b]));
    jest.advanceTimersByTime(3040);
    expect(one('.wf-Head-elapsed').textContent).toBe('8 s');
    expect(rows()[1].querySelector('.wf-Task-duration')!.textContent).toBe('8 s');
    const ended = aRun('run', {}, 'COMPLETED', 6);
    model.tell(aTree({ seq: 2, reset: false, run: ended, live: false, now: at(7) }));
    expect(one('.wf-Head-elapsed').textContent).toBe('6.0 s');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('asks for a cancellation once', () => {
    const model = mount(treeJSON(root));
    button('cancel').click();
    button('cancel').click();
    expect(model.sent).toEqual([{ type: 'cancel', run_id: 'run' }]);
    expect(button('cancel').textContent).toBe('Cancelling…');
    expect(button('cancel').disabled).toBe(true);
    const run = aRun('run', {}, 'CANCELLED');
    model.tell(aTree({ seq: 2, reset: false, run, live: false, can_retry: true }));
    expect(button('cancel').hidden).toBe(true);
  });

  it('offers a retry where there can be one, anew for each attempt', () => {
    const failed = aRun('run', {}, 'FAILED');
    const model = mount(aTree({ run: failed, live: false, can_retry: true }));
    expect(button('retry').hidden).toBe(false);
    button('retry').click();
    expect(model.sent).toEqual([{ type: 'retry', run_id: 'run' }]);
    expect(button('retry').disabled).toBe(true);
    const run = { ...failed, attempt: 2 };
    model.tell(aTree({ seq: 2, reset: false, run, live: false, can_retry: true }));
    expect(button('retry').disabled).toBe(false);
    model.tell(aTree({ seq: 3, reset: false, run, live: false, can_retry: false }));
    expect(button('retry').hidden).toBe(true);
  });

  it('stands still when the kernel is gone', () => {
    const model = mount(treeJSON(root, [a, b]));
    model.fire('comm_live_update');
    jest.advanceTimersByTime(20);
    expect(one('.wf-RunView').dataset.connected).toBe('false');
    expect(button('cancel').hidden).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is one line in its compact mode until it is opened', () => {
    mount(treeJSON(root, [a, b]), 'compact');
    const disclose = one('.wf-Head-disclose');
    expect(one('.wf-Screen-body').hidden).toBe(true);
    expect(rows()).toHaveLength(0);
    expect(disclose.getAttribute('aria-expanded')).toBe('false');
    disclose.click();
    expect(one('.wf-Screen-body').hidden).toBe(false);
    expect(rows()).toHaveLength(2);
    disclose.click();
    expect(one('.wf-Screen-body').hidden).toBe(true);
  });

  it('shows the same at each place, and remembers the tab when it is drawn anew', () => {
    const model = new FakeModel(treeJSON(root, [a, b], [aLine(1, 'a')]));
    const widget = makeWidget();
    const end = widget.initialize({ model });
    const leave = widget.render({ model, el });
    one('[data-tab=logs]').click();
    leave();
    expect(el.children).toHaveLength(0);
    undo.push(end, widget.render({ model, el }));
    expect(one('[data-tab=logs]').getAttribute('aria-selected')).toBe('true');
    expect(el.querySelectorAll('.wf-Log')).toHaveLength(1);
  });

  it('says what ran in the cell before', () => {
    mount(aTree({ run: root, earlier: { total: 12, counts: { Completed: 11, Failed: 1 } } }));
    expect(el.textContent).toContain('12 earlier runs in this cell: 11 completed, 1 failed');
  });

  it('shows everything as text', () => {
    const error = { type: MARKUP, message: MARKUP, traceback: MARKUP };
    const evil = aRun('run', { name: MARKUP, error, parameters: { [MARKUP]: MARKUP } }, 'FAILED');
    mount({
      ...treeJSON(evil, [
        aChild('a', evil, { name: MARKUP }),
        aChild('b', evil, { name: MARKUP, error }, 'FAILED')
      ]),
      lines: [lineJSON(1, 0, MARKUP)]
    });
    for (const tab of ['graph', 'timeline', 'logs', 'tasks']) {
      one(`[data-tab=${tab}]`).click();
    }
    rows()[1].click();
    one('.wf-Task-said[data-kind=error]').click();
    jest.advanceTimersByTime(20);
    expect(el.querySelectorAll('img, b, script')).toHaveLength(0);
    expect(one('.wf-Task-name').textContent).toBe(MARKUP);
    expect(one('.wf-Log-text').textContent).toBe(MARKUP);
  });

  it('tells screen readers the states, not the ticks', () => {
    const model = mount(treeJSON(root, [a, b]));
    const status = one('.wf-Screen > [role=status]');
    expect(status.getAttribute('aria-live')).toBe('polite');
    const said = status.textContent;
    jest.advanceTimersByTime(5000);
    expect(status.textContent).toBe(said);
    const run = aRun('run', {}, 'COMPLETED');
    const progress = { total: 3, done: 3, counts: { COMPLETED: 3 } };
    model.tell(aTree({ seq: 2, reset: false, run, live: false, progress }));
    expect(status.textContent).toBe('name-run: Completed, 3 of 3 done');
  });

  it('leaves nothing behind', () => {
    const model = mount(treeJSON(root, [a, b]));
    expect(model.listeners).toBeGreaterThan(0);
    undo.reverse().forEach(each => each());
    undo = [];
    expect(model.listeners).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
    expect(el.children).toHaveLength(0);
  });
});
