import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { Widget } from '@lumino/widgets';
import * as React from 'react';
import { ApiError } from '../src/api/client';
import { rowWindow } from '../src/components/useRows';
import { RunsModel } from '../src/model/runs';
import { AutomationsModel } from '../src/model/automations';
import { DeploymentsModel } from '../src/model/deployments';
import { Panel, type PanelActions, WorkflowPanel } from '../src/pages/panel';
import { FakeServer } from './fakes';
import { aMessage, anAutomation, aRun, at, MARKUP, settle } from './fixtures';

let server: FakeServer;
let model: RunsModel;
let opened: string[];
let ran: number;

const nothing = (): void => undefined;
const NO_ACTIONS: PanelActions = {
  openRun: nothing,
  runNotebook: null,
  scheduleNotebook: null,
  deployments: {
    openRun: nothing,
    setPaused: nothing,
    run: nothing,
    edit: nothing,
    remove: nothing
  },
  automations: { setEnabled: nothing, test: nothing, dismissTest: nothing, remove: nothing }
};

/** The panel's content, painted anew with each change of the model. */
function LivePanel(): JSX.Element {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    model.changed.connect(again);
    return () => void model.changed.disconnect(again);
  }, []);
  return (
    <Panel
      view={model.view}
      model={model}
      actions={{ ...NO_ACTIONS, openRun: id => opened.push(id), runNotebook: () => (ran += 1) }}
    />
  );
}

async function show(): Promise<void> {
  render(<LivePanel />);
  await act(async () => {
    model.start();
    await settle();
  });
}

const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('.jp-WfRunRow')];

beforeEach(() => {
  server = new FakeServer();
  server.runs = [
    aRun('live', {
      name: 'amber-otter',
      flow_name: 'quickstart',
      created_at: at(3),
      progress: { total: 7, done: 3, counts: { COMPLETED: 3, RUNNING: 1 } }
    }),
    aRun('dead', { created_at: at(2), source: { notebook: 'reports/nightly.ipynb' } }, 'FAILED'),
    aRun('done', { created_at: at(1) }, 'COMPLETED', 13)
  ];
  model = new RunsModel(server.client, server.openSocket);
  opened = [];
  ran = 0;
});

afterEach(() => {
  cleanup();
  model.dispose();
});

describe('the panel', () => {
  it('lists runs with state as shape and word, names, progress, duration', async () => {
    await show();
    expect(rows().map(row => [row.dataset.runId, row.dataset.state])).toEqual([
      ['live', 'RUNNING'],
      ['dead', 'FAILED'],
      ['done', 'COMPLETED']
    ]);
    const [live, dead, done] = rows();
    expect(live.textContent).toContain('quickstart');
    expect(live.textContent).toContain('amber-otter');
    expect(live.textContent).toContain('Running');
    expect(live.textContent).toContain('3/7');
    expect(live.querySelector('.wf-StateIcon')).not.toBeNull();
    expect(dead.textContent).toContain('nightly.ipynb');
    expect(done.textContent).toContain('13 s');
  });

  it('follows the stream in place', async () => {
    await show();
    const [live] = rows();
    act(() =>
      server.socket.message.emit(
        aMessage(11, [aRun('live', { created_at: at(3) }, 'COMPLETED', 20)])
      )
    );
    expect(rows()[0]).toBe(live);
    expect(live.dataset.state).toBe('COMPLETED');
    expect(live.textContent).toContain('Completed');
  });

  it('is walked, opened and cancelled by keyboard', async () => {
    await show();
    const [live, dead] = rows();
    expect(rows().map(row => row.tabIndex)).toEqual([0, -1, -1]);
    act(() => live.focus());
    fireEvent.keyDown(live, { key: 'ArrowDown' });
    expect(document.activeElement).toBe(dead);
    expect(rows().map(row => row.tabIndex)).toEqual([-1, 0, -1]);
    fireEvent.keyDown(dead, { key: 'Enter' });
    expect(opened).toEqual(['dead']);
    fireEvent.keyDown(dead, { key: 'Delete' });
    fireEvent.keyDown(dead, { key: 'Home' });
    await act(async () => {
      fireEvent.keyDown(rows()[0], { key: 'Delete' });
      await settle();
    });
    expect(server.asked.filter(item => item.startsWith('cancel'))).toEqual(['cancel live']);
    expect(rows()[0].dataset.state).toBe('CANCELLING');
    fireEvent.keyDown(rows()[0], { key: 'End' });
    expect((document.activeElement as HTMLElement).dataset.runId).toBe('done');
  });

  it('opens a run by a click', async () => {
    await show();
    fireEvent.click(rows()[2]);
    expect(opened).toEqual(['done']);
  });

  it('narrows by state at once and by text after a pause', async () => {
    await show();
    jest.useFakeTimers();
    await act(async () => {
      fireEvent.change(screen.getByLabelText('Filter runs by state'), {
        target: { value: 'failed' }
      });
      await settle();
    });
    expect(rows().map(row => row.dataset.runId)).toEqual(['dead']);
    fireEvent.change(screen.getByLabelText('Filter runs by name'), { target: { value: 'zzz' } });
    await act(async () => {
      jest.advanceTimersByTime(300);
      await settle();
    });
    expect(rows()).toEqual([]);
    expect(server.asked).toContain('runs zzz FAILED,CRASHED');
    await act(async () => {
      fireEvent.click(screen.getByText('Show all'));
      await settle();
    });
    expect(rows()).toHaveLength(3);
    jest.useRealTimers();
  });

  it('says how to begin', async () => {
    server.runs = [];
    await show();
    expect(document.body.textContent).toContain('%load_ext jupyter_wf');
    expect(document.body.textContent).toContain('%%task hello');
    fireEvent.click(screen.getByText('Run Notebook as Workflow'));
    expect(ran).toBe(1);
  });

  it('says that it reconnects', async () => {
    await show();
    expect(screen.getByRole('status').textContent).toBe('');
    act(() => server.socket.setStatus('reconnecting'));
    expect(screen.getByRole('status').textContent).toContain('reconnecting…');
    act(() => server.socket.setStatus('open'));
    expect(screen.getByRole('status').textContent).toBe('');
  });

  it('shows a refusal until it is dismissed, and a server that is not there', async () => {
    server.refusal = new ApiError(0, 'NetworkError', 'nobody there');
    await show();
    expect(screen.getByRole('alert').textContent).toContain('nobody there');
    server.refusal = null;
    await act(async () => {
      fireEvent.click(screen.getByText('Try now'));
      await settle();
    });
    expect(rows()).toHaveLength(3);
    expect(screen.queryByRole('alert')).toBeNull();
  });

  it('loads more on demand', async () => {
    server.pageSize = 2;
    await show();
    expect(rows()).toHaveLength(2);
    await act(async () => {
      fireEvent.click(screen.getByText('Load more'));
      await settle();
    });
    expect(rows()).toHaveLength(3);
    expect(screen.queryByText('Load more')).toBeNull();
  });

  it('shows everything as text', async () => {
    server.runs = [aRun('x', { name: MARKUP, flow_name: MARKUP })];
    await show();
    expect(document.querySelectorAll('img, b')).toHaveLength(0);
    expect(rows()[0].textContent).toContain('<img src=x');
  });

  it('starts the model when it is attached', async () => {
    const deployments = new DeploymentsModel(server.deployments, model);
    const automations = new AutomationsModel(server.automations, model);
    const widget = new WorkflowPanel(model, deployments, automations, NO_ACTIONS);
    expect(server.asked).toEqual([]);
    await act(async () => {
      Widget.attach(widget, document.body);
      await settle();
    });
    expect(server.asked).toEqual(['meta', 'deployments', 'automations', 'runs']);
    expect(document.body.textContent).toContain('No scheduled notebooks');
    expect(document.body.textContent).not.toContain('Automations');
    server.automated = [anAutomation('a')];
    await act(async () => {
      widget.hide();
      widget.show();
      await settle();
    });
    expect(document.body.textContent).toContain('Automations');
    automations.dispose();
    deployments.dispose();
    expect(widget.node.classList.contains('jp-WfPanel')).toBe(true);
    act(() => widget.dispose());
  });
});

describe('the window on long lists', () => {
  it('renders short lists whole and a part of long ones', () => {
    expect(rowWindow(200, 28, 0, 500)).toEqual({ first: 0, last: 200, before: 0, after: 0 });
    for (const top of [0, 3000, 14_000, 280_000]) {
      const { first, last, before, after } = rowWindow(10_000, 28, top, 500);
      expect(last - first).toBeLessThan(200);
      expect(before + after + (last - first) * 28).toBe(280_000);
      expect(first).toBeLessThanOrEqual(Math.min(9999, Math.floor(top / 28)));
      expect(last).toBeGreaterThanOrEqual(Math.min(10_000, Math.ceil((top + 500) / 28)));
    }
  });
});
