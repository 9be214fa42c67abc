import widget, { render } from '../src/widget/run_view';
import type { RowJSON, RunViewMessage, ViewJSON, WidgetModel } from '../src/widget/snapshot';
import { aRun, at, MARKUP } from './fixtures';

/** The kernel's side of the widget, played by the test. */
class FakeModel implements WidgetModel {
  sent: RunViewMessage[] = [];
  private readonly callbacks = new Map<string, Set<() => void>>();
  constructor(public view: Partial<ViewJSON>) {}
  get(): Partial<ViewJSON> {
    return this.view;
  }
  send(message: RunViewMessage): void {
    this.sent.push(message);
  }
  on(event: string, callback: () => void): void {
    this.callbacks.set(event, (this.callbacks.get(event) ?? new Set()).add(callback));
  }
  off(event: string, callback: () => void): void {
    this.callbacks.get(event)?.delete(callback);
  }
  fire(event: string): void {
    this.callbacks.get(event)?.forEach(callback => callback());
  }
  show(view: Partial<ViewJSON>): void {
    this.view = view;
    this.fire('change:view');
  }
  get listeners(): number {
    return [...this.callbacks.values()].reduce((sum, set) => sum + set.size, 0);
  }
}

function aRow(id: string, changes: Partial<RowJSON> = {}, type = 'RUNNING'): RowJSON {
  const { state, started_at, ended_at } = aRun(id, {}, type, 4);
  return {
    id,
    name: `task ${id}`,
    kind: 'task',
    state,
    attempt: 1,
    max_attempts: 1,
    started_at,
    ended_at,
    last_log: null,
    error: null,
    progress: null,
    ...changes
  };
}

function aView(changes: Partial<ViewJSON> = {}): ViewJSON {
  return {
    run: aRun('run'),
    tasks: [aRow('a', {}, 'COMPLETED'), aRow('b')],
    more: 0,
    last_log: null,
    progress: { total: 3, done: 1, counts: { COMPLETED: 1, RUNNING: 1 } },
    now: at(5),
    live: true,
    can_retry: false,
    ...changes
  };
}

let el: HTMLElement;
let undo: (() => void) | null;

function mount(view: Partial<ViewJSON>): FakeModel {
  const model = new FakeModel(view);
  undo = render({ model, el });
  return model;
}

const one = (selector: string): HTMLElement => el.querySelector<HTMLElement>(selector)!;
const rows = (): HTMLElement[] => [...el.querySelectorAll<HTMLElement>('.wf-TaskRow')];

beforeEach(() => {
  jest.useFakeTimers();
  el = document.createElement('div');
  document.body.append(el);
  undo = null;
});

afterEach(() => {
  undo?.();
  el.remove();
  jest.useRealTimers();
});

describe('the RunView widget', () => {
  it('shows the last line of a task without rows', () => {
    const model = mount(aView({ tasks: [], last_log: 'first\nstep 7' }));
    expect(one('.wf-RunView-log').textContent).toBe('step 7');
    model.show(aView({ last_log: 'step 8' }));
    expect(one('.wf-RunView-log').hidden).toBe(true);
  });

  it('is what anywidget looks for', () => expect(widget.render).toBe(render));

  it('waits for the first snapshot', () => {
    const model = mount({});
    expect(one('.wf-RunView').hidden).toBe(true);
    model.show(aView());
    expect(one('.wf-RunView').hidden).toBe(false);
    expect(one('.wf-RunView').dataset.state).toBe('RUNNING');
  });

  it('shows the run and a row for each task', () => {
    mount(
      aView({
        tasks: [
          aRow('a', { attempt: 2, max_attempts: 4, last_log: 'first\nlast line' }, 'COMPLETED'),
          aRow('b', { state: { ...aRow('b').state, type: 'SCHEDULED', name: 'AwaitingRetry' } })
        ],
        more: 12
      })
    );
    expect(one('.wf-Badge').textContent).toBe('Running');
    expect(one('.wf-RunView-name').textContent).toBe('name-run');
    expect(one('.wf-RunView-subtitle').hidden).toBe(true);
    expect(one('.wf-Progress-text').textContent).toBe('1/3');
    expect(one('.wf-RunView-elapsed').textContent).toBe('5 s');
    expect(rows().map(row => row.dataset.state)).toEqual(['COMPLETED', 'SCHEDULED']);
    expect(one('.wf-TaskRow-attempts').textContent).toBe('2/4');
    expect(one('.wf-TaskRow-log').textContent).toBe('last line');
    expect(one('.wf-TaskRow-log').title).toBe('first\nlast line');
    expect(rows()[1].querySelector('.wf-TaskRow-state')!.textContent).toBe('Awaiting retry');
    expect(one('.wf-RunView-more').textContent).toBe('and 12 more');
  });

  it('changes the DOM in place', () => {
    const model = mount(aView());
    const [first, second] = rows();
    const badge = one('.wf-Badge');
    const cancel = one('.wf-RunView-cancel');
    cancel.focus();
    const changes: MutationRecord[] = [];
    const observer = new MutationObserver(records => changes.push(...records));
    observer.observe(el, { childList: true, subtree: true, attributes: true, characterData: true });
    model.show(aView());
    changes.push(...observer.takeRecords());
    expect(changes.filter(change => change.type === 'childList')).toEqual([]);
    model.show(aView({ tasks: [aRow('a', {}, 'COMPLETED'), aRow('b', {}, 'FAILED'), aRow('c')] }));
    observer.disconnect();
    expect(rows()).toHaveLength(3);
    expect(rows()[0]).toBe(first);
    expect(rows()[1]).toBe(second);
    expect(second.dataset.state).toBe('FAILED');
    expect(one('.wf-Badge')).toBe(badge);
    expect(document.activeElement).toBe(cancel);
  });

  it('names the flow and its run', () => {
    mount(aView({ run: aRun('run', { flow_name: 'report' }) }));
    expect(one('.wf-RunView-name').textContent).toBe('report');
    expect(one('.wf-RunView-subtitle').textContent).toBe('name-run');
  });

  it('puts rows in the order of the snapshot and lets others go', () => {
    const model = mount(aView());
    model.show(aView({ tasks: [aRow('c'), aRow('b')] }));
    expect(rows().map(row => row.dataset.runId)).toEqual(['c', 'b']);
  });

  it('ticks between snapshots by the clock of the kernel, and stops at the end', () => {
    const model = mount(aView());
    jest.advanceTimersByTime(3000);
    expect(one('.wf-RunView-elapsed').textContent).toBe('8 s');
    expect(rows()[1].querySelector('.wf-TaskRow-duration')!.textContent).toBe('8 s');
    model.show(aView({ run: aRun('run', {}, 'COMPLETED', 6), live: false, now: at(7) }));
    expect(one('.wf-RunView-elapsed').textContent).toBe('6.0 s');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('asks for a cancellation once', () => {
    const model = mount(aView());
    const cancel = one('.wf-RunView-cancel') as HTMLButtonElement;
    expect(cancel.tagName).toBe('BUTTON');
    cancel.click();
    cancel.click();
    expect(model.sent).toEqual([{ type: 'cancel', run_id: 'run' }]);
    expect(cancel.textContent).toBe('Cancelling…');
    expect(cancel.disabled).toBe(true);
    model.show(aView({ run: aRun('run', {}, 'CANCELLED'), live: false, can_retry: true }));
    expect(cancel.hidden).toBe(true);
  });

  it('offers a retry where there can be one, anew for each attempt', () => {
    const failed = aRun('run', {}, 'FAILED');
    const model = mount(aView({ run: failed, live: false, can_retry: true }));
    const retry = one('.wf-RunView-retry') as HTMLButtonElement;
    expect(retry.hidden).toBe(false);
    retry.click();
    expect(model.sent).toEqual([{ type: 'retry', run_id: 'run' }]);
    expect(retry.disabled).toBe(true);
    model.show(aView({ run: { ...failed, attempt: 2 }, live: false, can_retry: true }));
    expect(retry.disabled).toBe(false);
    model.show(aView({ run: failed, live: false, can_retry: false }));
    expect(retry.hidden).toBe(true);
  });

  it('shows errors with their traceback, the run’s own only where no row has it', () => {
    const error = { type: 'ValueError', message: 'bad', traceback: 'line 1' };
    const run = aRun('run', { error }, 'FAILED');
    const model = mount(aView({ run, live: false, tasks: [aRow('a', { error }, 'FAILED')] }));
    const shownErrors = (): string[] =>
      [...el.querySelectorAll<HTMLElement>('.wf-Error:not([hidden]) .wf-Error-line')].map(
        line => line.textContent ?? ''
      );
    expect(shownErrors()).toEqual(['ValueError: bad']);
    model.show(aView({ run, live: false, tasks: [] }));
    expect(shownErrors()).toEqual(['ValueError: bad']);
    expect(one('.wf-RunView-top .wf-Error').hidden).toBe(false);
  });

  it('shows everything as text', () => {
    const error = { type: MARKUP, message: MARKUP, traceback: MARKUP };
    mount(
      aView({
        run: aRun('run', { name: MARKUP, error }, 'FAILED'),
        tasks: [aRow('a', { name: MARKUP, last_log: MARKUP }), aRow('b', { error }, 'FAILED')]
      })
    );
    expect(el.querySelectorAll('img, b, script')).toHaveLength(0);
    expect(one('.wf-TaskRow-name').textContent).toBe(MARKUP);
  });

  it('tells screen readers the states, not the ticks', () => {
    const model = mount(aView());
    const status = one('[role=status]');
    expect(status.getAttribute('aria-live')).toBe('polite');
    const said = status.textContent;
    jest.advanceTimersByTime(5000);
    expect(status.textContent).toBe(said);
    model.show(
      aView({
        run: aRun('run', {}, 'COMPLETED'),
        live: false,
        progress: { total: 3, done: 3, counts: { COMPLETED: 3 } }
      })
    );
    expect(status.textContent).toBe('name-run: Completed, 3 of 3 done');
  });

  it('stands still when the kernel is gone', () => {
    const model = mount(aView());
    model.fire('comm_live_update');
    expect(one('.wf-RunView').dataset.connected).toBe('false');
    expect(one('.wf-RunView-cancel').hidden).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('leaves nothing behind', () => {
    const model = mount(aView());
    expect(model.listeners).toBeGreaterThan(0);
    undo!();
    undo = null;
    expect(model.listeners).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('stays at the end of its rows, where those that run are, until the reader scrolls away', () => {
    const model = mount(aView());
    const list = one('.wf-RunView-tasks');
    Object.defineProperty(list, 'clientHeight', { get: () => 100 });
    Object.defineProperty(list, 'scrollHeight', { get: () => 100 * list.children.length });
    list.scrollTop = 100;
    model.show(aView({ tasks: ['a', 'b', 'c'].map(id => aRow(id)) }));
    expect(list.scrollTop).toBe(300);
    list.scrollTop = 50;
    model.show(aView({ tasks: ['a', 'b', 'c', 'd'].map(id => aRow(id)) }));
    expect(list.scrollTop).toBe(50);
  });
});
