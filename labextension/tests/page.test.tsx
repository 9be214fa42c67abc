import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { ApiError } from '../src/api/client';
import { RunModel } from '../src/model/run';
import { RunPage, screenOptions } from '../src/pages/runPage';
import { FakeServer } from './fakes';
import { aChild, aLine, aMessage, aRun, aStateEvent, at, MARKUP, settle } from './fixtures';

let server: FakeServer;
let model: RunModel;
let openedPaths: string[];
let openedRuns: string[];
let copied: string[];

function LivePage(props: { options: ReturnType<typeof screenOptions> }): JSX.Element {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    model.changed.connect(again);
    return () => void model.changed.disconnect(again);
  }, []);
  return <RunPage view={model.view} model={model} options={props.options} />;
}

async function show(id = 'root'): Promise<void> {
  model = new RunModel(id, server.client, server.openSocket);
  const options = screenOptions(model, {
    openNotebook: path => openedPaths.push(path),
    openRun: run => openedRuns.push(run),
    onCopy: text => copied.push(text)
  });
  render(<LivePage options={options} />);
  await act(async () => {
    await model.load();
    await settle();
  });
}

const frame = (): Promise<void> =>
  act(() => new Promise<void>(resolve => window.requestAnimationFrame(() => resolve())));
const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('.wf-Task')];
const text = (selector: string): string => document.querySelector(selector)?.textContent ?? '';
const buttons = (): string[] =>
  [...document.querySelectorAll<HTMLButtonElement>('.wf-Head-buttons button')]
    .filter(button => !button.hidden)
    .map(button => button.textContent ?? '');
async function click(name: string): Promise<void> {
  await act(async () => {
    fireEvent.click(screen.getByText(name));
    await settle();
  });
  await frame();
}

const error = { type: 'ValueError', message: 'no rows', traceback: '\u001b[31mline 1\u001b[0m' };
const notebook = { notebook: 'quickstart.ipynb', path: '/n/quickstart.ipynb', digest: 'abc' };
const root = aRun('root', {
  name: 'amber-otter',
  flow_name: 'quickstart',
  parameters: { year: 2013 },
  progress: { total: 2, done: 1, counts: { COMPLETED: 1, RUNNING: 1 } },
  source: { ...notebook, executed: '/far/away.ipynb', executed_path: null }
});
const load = aChild(
  'load',
  root,
  { name: 'load', kind: 'cell', created_at: at(1), attempt: 2, max_attempts: 4 },
  'COMPLETED'
);
const part = aChild('part', load, { name: 'part', created_at: at(2) }, 'COMPLETED');
const plot = aChild('plot', root, { name: 'plot', created_at: at(3) });

beforeEach(() => {
  server = new FakeServer();
  server.runs = [root, load, part, plot];
  server.lines = [aLine(1, 'load'), aLine(2, 'plot', { level: 40, message: '\u001b[31mred' })];
  openedPaths = [];
  openedRuns = [];
  copied = [];
});

afterEach(() => {
  cleanup();
  model.dispose();
});

describe('the run page', () => {
  it('shows the run, its parameters, its tasks as a tree, and the log', async () => {
    await show();
    expect(text('.wf-Head .wf-Badge')).toBe('Running');
    expect(text('.wf-Head-name')).toBe('quickstart');
    expect(text('.wf-Head-subtitle')).toBe('amber-otter');
    expect(text('.wf-Head .wf-Progress-text')).toBe('1/2');
    expect(text('.wf-Parameters-line')).toBe('year = 2013');
    expect(text('.wf-Head-facts')).toContain('run root');
    expect(
      rows().map(row => [row.dataset.runId, row.getAttribute('aria-level'), row.dataset.state])
    ).toEqual([
      ['load', '1', 'COMPLETED'],
      ['part', '2', 'COMPLETED'],
      ['plot', '1', 'RUNNING']
    ]);
    fireEvent.click(screen.getByRole('tab', { name: 'Logs' }));
    const lines = [...document.querySelectorAll('.wf-Log')].map(line => [
      line.querySelector('.wf-Log-run')!.textContent,
      line.querySelector('.wf-Log-text')!.textContent
    ]);
    expect(lines).toEqual([
      ['load', 'line 1'],
      ['plot', 'red']
    ]);
  });

  it('follows the stream in place', async () => {
    await show();
    const row = rows()[2];
    act(() =>
      server.socket.message.emit(
        aMessage(
          20,
          [{ ...plot, error, state: { ...plot.state, type: 'FAILED', name: 'Failed' } }],
          [aStateEvent(20, 'plot', 'FAILED', 9)]
        )
      )
    );
    await frame();
    expect(rows()[2]).toBe(row);
    expect(row.dataset.state).toBe('FAILED');
    expect(row.querySelector('.wf-Task-said')!.textContent).toBe('▸ ValueError: no rows');
  });

  it('asks the server for what the tree does not hold of the task that is chosen', async () => {
    server.runs = [root, load, { ...plot, parameters: { colour: 'red' } }];
    await show();
    fireEvent.click(rows()[1]);
    await frame();
    await act(settle);
    expect(server.asked).toContain('run plot');
    expect(text('.wf-Details .wf-Parameters-line')).toBe('colour = "red"');
  });

  it('cancels without a question and shows it at once', async () => {
    await show();
    expect(buttons()).toEqual(['Cancel', 'Open executed notebook', 'Open notebook as it was']);
    await click('Cancel');
    expect(server.asked).toContain('cancel root');
    expect(text('.wf-Head .wf-Badge')).toBe('Cancelling');
    expect((screen.getByText('Cancelling…') as HTMLButtonElement).disabled).toBe(true);
  });

  it('does not offer what nobody is left to do', async () => {
    server.runs = [aRun('root', { error }, 'FAILED')];
    await show();
    expect(buttons()).toEqual([]);
  });

  it("retries what failed, and shows the server's words when it can't be", async () => {
    server.runs = [aRun('root', { error, can_retry: true }, 'FAILED')];
    await show();
    expect(text('.wf-Head .wf-Error-line')).toBe('ValueError: no rows');
    expect(buttons()).toEqual(['Retry']);
    server.refusal = new ApiError(409, 'RunFinished', "run root is FAILED: it can't be retried");
    await click('Retry');
    expect(screen.getByRole('alert').textContent).toContain("it can't be retried");
    expect(buttons()).toEqual(['Retry']);
    fireEvent.click(screen.getByText('Dismiss'));
    expect(screen.queryByRole('alert')).toBeNull();
  });

  it('goes on with a notebook that failed, or runs it again', async () => {
    const failed = { ...root.state, type: 'FAILED', name: 'Failed' };
    server.runs = [{ ...root, state: failed, ended_at: at(9), can_resume: true }];
    await show();
    expect(buttons().slice(0, 3)).toEqual(['Resume', 'Repair', 'Run again']);
    await click('Resume');
    expect(screen.getByText('Resuming…')).toBeTruthy();
    await click('Repair');
    await click('Run again');
    expect(server.asked).toEqual(['tree root', 'resume root', 'repair root', 'rerun root']);
    expect(openedRuns).toEqual(['another']);
  });

  it('opens the executed notebook, the one that was run, and offers the path', async () => {
    await show();
    fireEvent.click(screen.getByText('Copy path'));
    expect(copied).toEqual(['/far/away.ipynb']);
    await click('Open executed notebook');
    await click('Open notebook as it was');
    expect(server.asked.slice(1)).toEqual(['copy executed root', 'copy snapshot root']);
    expect(openedPaths).toEqual(['copy-of-root.ipynb', 'copy-of-root.ipynb']);
  });

  it('says that a run is gone, and that the line is down', async () => {
    await show('gone');
    expect(document.body.textContent).toContain('There is no run gone any more');
    cleanup();
    model.dispose();
    await show();
    act(() => server.socket.setStatus('reconnecting'));
    expect(screen.getByText('Connection lost, reconnecting…')).toBeTruthy();
  });

  it('shows everything as text', async () => {
    const bad = { type: MARKUP, message: MARKUP, traceback: MARKUP };
    server.runs = [
      aRun(
        'root',
        {
          name: MARKUP,
          flow_name: MARKUP,
          parameters: { [MARKUP]: MARKUP },
          error: bad,
          source: { executed: MARKUP }
        },
        'FAILED'
      ),
      aChild('c', root, { name: MARKUP, error: { ...bad, message: 'other' } }, 'FAILED')
    ];
    server.lines = [aLine(1, 'c', { message: MARKUP })];
    await show();
    for (const tab of ['Graph', 'Timeline', 'Logs']) {
      fireEvent.click(screen.getByRole('tab', { name: tab }));
    }
    expect(document.querySelectorAll('img, b')).toHaveLength(0);
    expect(text('.wf-Log-text')).toBe(MARKUP);
    expect(text('.wf-Head .wf-Error-traceback')).toBe(MARKUP);
    expect(text('.jp-WfExecuted code')).toBe(MARKUP);
  });
});
