import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { ApiError } from '../src/api/client';
import { levelName, LOG_WINDOW, LogView } from '../src/components/LogView';
import { RunModel } from '../src/model/run';
import { RunPage } from '../src/pages/runPage';
import { FakeServer } from './fakes';
import { aChild, aLine, aMessage, aRun, at, MARKUP, settle } from './fixtures';

let server: FakeServer;
let model: RunModel;
let openedPaths: string[];
let copied: string[];

function LivePage(): JSX.Element {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    model.changed.connect(again);
    return () => void model.changed.disconnect(again);
  }, []);
  return (
    <RunPage
      view={model.view}
      model={model}
      actions={{ openNotebook: path => openedPaths.push(path), onCopy: text => copied.push(text) }}
    />
  );
}

async function show(id = 'root'): Promise<void> {
  model = new RunModel(id, server.client, server.openSocket);
  render(<LivePage />);
  await act(async () => {
    await model.load();
    await settle();
  });
}

const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('.jp-WfTaskRow')];
const text = (selector: string): string => document.querySelector(selector)?.textContent ?? '';

const error = { type: 'ValueError', message: 'no rows', traceback: '\u001b[31mline 1\u001b[0m' };
const root = aRun('root', {
  name: 'amber-otter',
  flow_name: 'quickstart',
  parameters: { year: 2013 },
  progress: { total: 2, done: 1, counts: { COMPLETED: 1, RUNNING: 1 } },
  source: { notebook: 'quickstart.ipynb', executed: '/far/away.ipynb', executed_path: null }
});
const load = aChild(
  'load',
  root,
  {
    name: 'load',
    created_at: at(1),
    attempt: 2,
    max_attempts: 4,
    progress: { total: 1, done: 1, counts: {} }
  },
  'COMPLETED'
);
const part = aChild('part', load, { name: 'part', created_at: at(2) }, 'COMPLETED');
const plot = aChild('plot', root, { name: 'plot', created_at: at(3) });

beforeEach(() => {
  server = new FakeServer();
  server.runs = [root, load, part, plot];
  server.lines = [
    aLine(1, 'load'),
    aLine(2, 'plot', { level: 40, message: '\u001b[31mred\u001b[0m' })
  ];
  openedPaths = [];
  copied = [];
});

afterEach(() => {
  cleanup();
  model.dispose();
});

describe('the run page', () => {
  it('names a flow inside a flow by its flow as well', async () => {
    server.runs.push(
      aChild('inner', root, {
        kind: 'flow',
        flow_name: 'clean',
        name: 'odd-heron',
        created_at: at(4)
      })
    );
    await show();
    expect(rows().map(row => row.querySelector('.jp-WfTaskName')?.textContent)).toContain(
      'clean · odd-heron'
    );
  });

  it('shows the run, its parameters, its tasks as a tree, and the log', async () => {
    await show();
    expect(text('.jp-WfHeader .wf-Badge')).toBe('Running');
    expect(text('.jp-WfHeader-title')).toBe('quickstart');
    expect(text('.jp-WfHeader-name')).toBe('amber-otter');
    expect(text('.jp-WfHeader .wf-Progress-text')).toBe('1/2');
    expect(text('.jp-WfParameters')).toBe('year2013');
    expect(
      rows().map(row => [row.dataset.runId, row.getAttribute('aria-level'), row.dataset.state])
    ).toEqual([
      ['load', '1', 'COMPLETED'],
      ['part', '2', 'COMPLETED'],
      ['plot', '1', 'RUNNING']
    ]);
    expect(rows()[0].querySelector('.jp-WfCol-attempts')!.textContent).toBe('2/4');
    const lines = [...document.querySelectorAll('.jp-WfLog')].map(line => [
      line.querySelector('.jp-WfLog-run')!.textContent,
      line.querySelector('.jp-WfLog-text')!.textContent
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
        aMessage(20, [
          { ...plot, error, state: { ...plot.state, type: 'FAILED', name: 'Failed', at: at(9) } }
        ])
      )
    );
    expect(rows()[2]).toBe(row);
    expect(row.dataset.state).toBe('FAILED');
    expect(row.querySelector('.jp-WfCol-error')!.textContent).toBe('ValueError: no rows');
  });

  it('is walked and opened by keyboard', async () => {
    await show();
    const [first] = rows();
    act(() => first.focus());
    fireEvent.keyDown(first, { key: 'ArrowLeft' });
    expect(rows().map(row => row.dataset.runId)).toEqual(['load', 'plot']);
    expect(rows()[0].getAttribute('aria-expanded')).toBe('false');
    fireEvent.keyDown(rows()[0], { key: 'ArrowRight' });
    expect(rows()).toHaveLength(3);
    fireEvent.keyDown(rows()[0], { key: 'ArrowDown' });
    expect((document.activeElement as HTMLElement).dataset.runId).toBe('part');
    fireEvent.keyDown(rows()[1], { key: 'ArrowLeft' });
    expect((document.activeElement as HTMLElement).dataset.runId).toBe('load');
  });

  it('narrows log and error to the row that is chosen', async () => {
    server.runs = [
      root,
      load,
      part,
      { ...plot, error, state: { ...plot.state, type: 'FAILED', name: 'Failed' } }
    ];
    await show();
    expect(document.querySelector('.jp-WfError')).toBeNull();
    fireEvent.click(rows()[2]);
    expect(text('.jp-WfLogs h3')).toBe('Logs of plot');
    expect(document.querySelectorAll('.jp-WfLog')).toHaveLength(1);
    expect(text('.jp-WfError-line')).toBe('plot: ValueError: no rows');
    expect(text('.jp-WfError pre')).toBe('line 1');
    fireEvent.click(screen.getByText('Show all'));
    expect(document.querySelectorAll('.jp-WfLog')).toHaveLength(2);
  });

  it('cancels without a question and shows it at once', async () => {
    await show();
    await act(async () => {
      fireEvent.click(screen.getByText('Cancel'));
      await settle();
    });
    expect(server.asked).toContain('cancel root');
    expect(text('.jp-WfHeader .wf-Badge')).toBe('Cancelling');
    expect((screen.getByText('Cancelling…') as HTMLButtonElement).disabled).toBe(true);
  });

  it('does not offer a retry that nobody is left to make', async () => {
    server.runs = [aRun('root', { error }, 'FAILED')];
    await show();
    expect(screen.queryByText('Retry')).toBeNull();
  });

  it("retries what failed, and shows the server's words when it can't be", async () => {
    server.runs = [aRun('root', { error, can_retry: true }, 'FAILED')];
    await show();
    expect(text('.jp-WfError-line')).toBe('ValueError: no rows');
    expect(screen.queryByText('Cancel')).toBeNull();
    server.refusal = new ApiError(409, 'RunFinished', "run root is FAILED: it can't be retried");
    await act(async () => {
      fireEvent.click(screen.getByText('Retry'));
      await settle();
    });
    expect(screen.getByRole('alert').textContent).toContain("it can't be retried");
    fireEvent.click(screen.getByText('Dismiss'));
    expect(screen.queryByRole('alert')).toBeNull();
  });

  it('opens the executed notebook and offers its path', async () => {
    await show();
    fireEvent.click(screen.getByText('Copy path'));
    expect(copied).toEqual(['/far/away.ipynb']);
    await act(async () => {
      fireEvent.click(screen.getByText('Open executed notebook'));
      await settle();
    });
    expect(openedPaths).toEqual(['copy-of-root.ipynb']);
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

  it('renders a part of a long list', async () => {
    server.pageSize = 200;
    server.runs = [
      root,
      ...Array.from({ length: 1200 }, (_, n) => aChild(`c${n}`, root, { created_at: at(n) }))
    ];
    await show();
    expect(model.view.rows).toHaveLength(1200);
    expect(rows().length).toBeGreaterThan(20);
    expect(rows().length).toBeLessThan(500);
    expect(screen.getByRole('treegrid').getAttribute('aria-rowcount')).toBe('1201');
  });

  it('shows everything as text', async () => {
    const bad = { type: MARKUP, message: MARKUP, traceback: MARKUP };
    server.runs = [
      aRun(
        'root',
        { name: MARKUP, flow_name: MARKUP, parameters: { [MARKUP]: MARKUP }, error: bad },
        'FAILED'
      ),
      aChild('c', root, { name: MARKUP, error: bad }, 'FAILED')
    ];
    server.lines = [aLine(1, 'c', { message: MARKUP })];
    await show();
    expect(document.querySelectorAll('img, b')).toHaveLength(0);
    expect(text('.jp-WfLog-text')).toBe(MARKUP);
    expect(text('.jp-WfError pre')).toBe(MARKUP);
  });
});

describe('the log', () => {
  const many = Array.from({ length: 1000 }, (_, n) => aLine(n, 'a', { level: n % 2 ? 20 : 40 }));
  const texts = (): (string | null)[] =>
    [...document.querySelectorAll('.jp-WfLog-text')].map(node => node.textContent);
  const showLog = (lines = many): void => {
    render(
      <LogView
        lines={lines}
        dropped={false}
        names={new Map()}
        of={null}
        onShowAll={() => undefined}
      />
    );
  };

  beforeEach(() => {
    model = new RunModel('unused', server.client, server.openSocket);
  });

  it('follows the newest lines and shows older ones on demand', () => {
    showLog();
    expect(texts()).toHaveLength(LOG_WINDOW);
    expect(texts()[LOG_WINDOW - 1]).toBe('line 999');
    fireEvent.click(screen.getByText(/Show older lines/));
    expect(texts()).toHaveLength(LOG_WINDOW);
    expect(texts()[0]).toBe('line 300');
    expect((screen.getByLabelText('Follow') as HTMLInputElement).checked).toBe(false);
    fireEvent.click(screen.getByLabelText('Follow'));
    expect(texts()[LOG_WINDOW - 1]).toBe('line 999');
  });

  it('narrows by level', () => {
    showLog();
    fireEvent.change(screen.getByLabelText('Log level'), { target: { value: '40' } });
    expect(texts()[LOG_WINDOW - 1]).toBe('line 998');
    expect(
      new Set(
        [...document.querySelectorAll('.jp-WfLog')].map(line => line.getAttribute('data-level'))
      )
    ).toEqual(new Set(['ERROR']));
    expect([10, 20, 25, 30, 50].map(levelName)).toEqual([
      'DEBUG',
      'INFO',
      'INFO',
      'WARNING',
      'CRITICAL'
    ]);
  });

  it('says when there is nothing', () => {
    showLog([]);
    expect(document.body.textContent).toContain('No log lines.');
  });
});
