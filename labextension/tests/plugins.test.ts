import { Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import schema from '../schema/run-notebook.json';
import plugins from '../src';
import { ApiError } from '../src/api/client';
import { RunsModel } from '../src/model/runs';
import { StartedRuns } from '../src/model/started';
import { Commands } from '../src/plugins/commands';
import { describeEnd, notifications } from '../src/plugins/notifications';
import { runNotebook } from '../src/plugins/runNotebook';
import { FakeServer } from './fakes';
import { aMessage, aRun, settle } from './fixtures';

type Any = any; // eslint-disable-line @typescript-eslint/no-explicit-any

/** An application with what the plugins use, and an open notebook. */
function anApp(server: FakeServer) {
  const commands = new CommandRegistry();
  const opened: unknown[] = [];
  commands.addCommand(Commands.openRun, { execute: args => opened.push(args.id) });
  const app = {
    commands,
    restored: Promise.resolve(),
    serviceManager: { contents: { localPath: (path: string) => path.replace(/^RTC:/, '') } }
  };
  const runs = new RunsModel(server.client, server.openSocket);
  const started = new StartedRuns(runs, window.sessionStorage);
  const service = { client: server.client, openSocket: server.openSocket, runs, started };
  const saved: string[] = [];
  const panel = {
    context: {
      path: 'RTC:folder/quick.ipynb',
      ready: Promise.resolve(),
      model: { dirty: true, readOnly: false, collaborative: false },
      save: () => {
        saved.push('quick');
        return Promise.resolve();
      }
    }
  };
  const notebooks = {
    currentWidget: panel as typeof panel | null,
    currentChanged: new Signal<object, unknown>({}),
    find: (test: (item: typeof panel) => boolean) => (test(panel) ? panel : undefined)
  };
  return { app, service, notebooks, panel, saved, opened, runs };
}

const notes = () =>
  Notification.manager.notifications.map(note => [note.options.actions?.[0]?.label, note.message]);

let server: FakeServer;
let world: ReturnType<typeof anApp>;

function activate(browsers: unknown = null): void {
  (runNotebook.activate as Any)(world.app, world.service, world.notebooks, browsers, null, null);
  (notifications.activate as Any)(world.app, world.service, null);
}

beforeEach(() => {
  window.sessionStorage.clear();
  Notification.dismiss();
  server = new FakeServer();
  server.runs = [aRun('r', { flow_name: 'quick' })];
  world = anApp(server);
});

afterEach(() => world.runs.dispose());

describe('running a notebook', () => {
  it('saves it, starts it by its local path, and says so with a way to the run', async () => {
    activate();
    await world.app.commands.execute(Commands.runNotebook);
    expect(world.saved).toEqual(['quick']);
    expect(server.asked[0]).toBe('start folder/quick.ipynb');
    expect(notes()).toEqual([['Open run', 'Started quick']]);
    Notification.manager.notifications[0].options.actions![0].callback(new MouseEvent('click'));
    await settle();
    expect(world.opened).toEqual(['r']);
  });

  it('saves only what has changes', async () => {
    world.panel.context.model.dirty = false;
    activate();
    await world.app.commands.execute(Commands.runNotebook);
    expect(world.saved).toEqual([]);
    world.panel.context.model.collaborative = true;
    await world.app.commands.execute(Commands.runNotebook);
    expect(world.saved).toEqual(['quick']);
    world.panel.context.model.readOnly = true;
    await world.app.commands.execute(Commands.runNotebook);
    expect(world.saved).toEqual(['quick']);
  });

  it('tells the end of what was started here', async () => {
    activate();
    await world.app.commands.execute(Commands.runNotebook);
    await settle();
    server.socket.message.emit(aMessage(11, [aRun('r', { flow_name: 'quick' }, 'COMPLETED', 12)]));
    expect(notes()).toContainEqual(['Open run', 'quick: Completed in 12 s']);
  });

  it("says why it can't", async () => {
    server.refusal = new ApiError(404, 'TargetError', 'not a notebook');
    activate();
    await world.app.commands.execute(Commands.runNotebook);
    expect(notes()).toEqual([[undefined, 'quick.ipynb was not started: not a notebook']]);
  });

  it('runs what is selected in the file browser, notebooks only', async () => {
    const items = [
      { type: 'notebook', path: 'RTC:a.ipynb' },
      { type: 'file', path: 'RTC:b.txt' }
    ];
    activate({ tracker: { currentWidget: { selectedItems: () => items[Symbol.iterator]() } } });
    await world.app.commands.execute(Commands.runNotebook, { browser: true });
    expect(server.asked.filter(item => item.startsWith('start'))).toEqual(['start a.ipynb']);
    expect(world.saved).toEqual([]);
  });

  it('is off where there is no notebook', () => {
    world.notebooks.currentWidget = null;
    activate();
    expect(world.app.commands.isEnabled(Commands.runNotebook)).toBe(false);
    expect(world.app.commands.isEnabled(Commands.runNotebook, { path: 'x.ipynb' })).toBe(true);
  });
});

describe('the end of a run in words', () => {
  const trans = nullTranslator.load('jupyter_wf');
  it.each([
    ['COMPLETED', 'success', 'quick: Completed in 3.0 s'],
    ['FAILED', 'error', 'quick: Failed: ValueError: bad'],
    ['CRASHED', 'error', 'quick: Crashed: ValueError: bad'],
    ['CANCELLED', 'warning', 'quick: Cancelled']
  ])('%s', (type, tone, message) => {
    const error = { type: 'ValueError', message: 'bad\nmore', traceback: '' };
    const run = aRun('r', { flow_name: 'quick', error }, type, 3);
    expect(describeEnd(run, trans)).toEqual({ type: tone, message });
  });
});

describe('the extension', () => {
  it('runs in Notebook 7 too: what only JupyterLab has is optional', () => {
    const required = plugins.flatMap(plugin => (plugin.requires ?? []).map(token => token.name));
    expect(new Set(required)).toEqual(new Set(['jupyter-wf:IWorkflows']));
  });

  it('has a settings file for the plugin that has one, with a command that exists', () => {
    expect(plugins.map(plugin => plugin.id)).toContain('jupyter-wf:run-notebook');
    const [button] = schema['jupyter.lab.toolbars'].Notebook;
    const [item] = schema['jupyter.lab.menus'].context;
    expect([button.command, item.command]).toEqual([Commands.runNotebook, Commands.runNotebook]);
    expect(item.args).toEqual({ browser: true });
  });
});
