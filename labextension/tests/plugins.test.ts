import { Dialog, Notification } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import schema from '../schema/run-notebook.json';
import scheduleSchema from '../schema/schedule-notebook.json';
import plugins from '../src';
import { ApiError } from '../src/api/client';
import { AutomationsModel } from '../src/model/automations';
import { DeploymentsModel } from '../src/model/deployments';
import { RunsModel } from '../src/model/runs';
import { StartedRuns } from '../src/model/started';
import { Commands } from '../src/plugins/commands';
import { describeEnd, notifications } from '../src/plugins/notifications';
import { automations } from '../src/plugins/automations';
import { deployments } from '../src/plugins/deployments';
import { runNotebook } from '../src/plugins/runNotebook';
import { scheduleNotebook } from '../src/plugins/scheduleNotebook';
import { FakeServer } from './fakes';
import { aDeployment, aDeploymentsRun, aMessage, anAutomation, aRun, settle } from './fixtures';

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
  const scheduled = new DeploymentsModel(server.deployments, runs);
  const automated = new AutomationsModel(server.automations, runs);
  const service = {
    client: server.client,
    openSocket: server.openSocket,
    runs,
    deployments: scheduled,
    automations: automated,
    started
  };
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
  return { app, service, notebooks, panel, saved, opened, runs, scheduled, automated };
}

const notes = () =>
  Notification.manager.notifications.map(note => [note.options.actions?.[0]?.label, note.message]);

let server: FakeServer;
let world: ReturnType<typeof anApp>;

function activate(browsers: unknown = null): void {
  (runNotebook.activate as Any)(world.app, world.service, world.notebooks, browsers, null, null);
  (scheduleNotebook.activate as Any)(
    world.app,
    world.service,
    world.notebooks,
    browsers,
    null,
    null
  );
  (deployments.activate as Any)(world.app, world.service, null);
  (automations.activate as Any)(world.app, world.service, null);
  (notifications.activate as Any)(world.app, world.service, null);
}

// The dialogs are painted by themselves, as they are in a browser.
beforeAll(() => Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false }));

beforeEach(() => {
  window.sessionStorage.clear();
  Notification.dismiss();
  server = new FakeServer();
  server.runs = [aRun('r', { flow_name: 'quick' })];
  world = anApp(server);
});

afterEach(() => {
  Dialog.flush();
  world.scheduled.dispose();
  world.automated.dispose();
  world.runs.dispose();
});

const button = (words: string): HTMLButtonElement | undefined =>
  [...document.querySelectorAll<HTMLButtonElement>('.jp-Dialog-button')].find(
    each => each.textContent === words
  );

/** Wait until there is such a button in a dialog, and press it. */
async function press(words: string): Promise<void> {
  for (let turn = 0; turn < 100 && button(words) === undefined; turn++) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  button(words)?.click();
  await settle();
}

describe('running a notebook', () => {
  it('saves it, starts it by its local path, and says so with a way to the run', async () => {
    activate();
    await world.app.commands.execute(Commands.runNotebook);
    expect(world.saved).toEqual(['quick']);
    expect(server.asked).toContain('start folder/quick.ipynb');
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

describe('scheduling a notebook', () => {
  it('saves it, asks by its local path, and says what came of it', async () => {
    activate();
    const done = world.app.commands.execute(Commands.scheduleNotebook);
    await press('Schedule');
    await done;
    expect(world.saved).toEqual(['quick']);
    expect(server.asked).toContain('form folder/quick.ipynb');
    expect(server.bodies[0]).toMatchObject({ name: 'quick', path: 'folder/quick.ipynb' });
    expect(notes()).toEqual([['Show schedules', 'quick is saved']]);
  });

  it('takes the first notebook that is selected in the file browser', async () => {
    const items = [
      { type: 'file', path: 'RTC:b.txt' },
      { type: 'notebook', path: 'RTC:a.ipynb' }
    ];
    activate({ tracker: { currentWidget: { selectedItems: () => items[Symbol.iterator]() } } });
    const done = world.app.commands.execute(Commands.scheduleNotebook, { browser: true });
    await press('Cancel');
    await done;
    expect(server.asked).toContain('form a.ipynb');
    expect(notes()).toEqual([]);
  });

  it("says why it can't", async () => {
    server.refusal = new ApiError(404, 'TargetError', 'not a notebook');
    activate();
    await world.app.commands.execute(Commands.scheduleNotebook);
    expect(notes()).toEqual([[undefined, "quick.ipynb can't be scheduled: not a notebook"]]);
  });

  it('is off where there is no notebook', () => {
    world.notebooks.currentWidget = null;
    activate();
    expect(world.app.commands.isEnabled(Commands.scheduleNotebook)).toBe(false);
  });
});

describe('what is done with a deployment', () => {
  beforeEach(() => {
    server.scheduled = [aDeployment('d')];
    server.runs = [aDeploymentsRun('made', 'd', 'SCHEDULED')];
    activate();
  });

  it('runs it and tells the run, and its end', async () => {
    await world.app.commands.execute(Commands.runDeployment, { id: 'd' });
    expect(server.asked).toContain('run d {}');
    expect(notes()).toContainEqual(['Open run', 'Started name-made']);
    await settle();
    server.socket.message.emit(aMessage(11, [aDeploymentsRun('made', 'd', 'COMPLETED')]));
    expect(notes().map(note => note[1])).toContainEqual(expect.stringMatching(/Completed/));
  });

  it('runs it with other parameters', async () => {
    const done = world.app.commands.execute(Commands.runDeployment, { id: 'd', ask: true });
    await press('Run now');
    await done;
    expect(server.asked).toContain('run d {}');
    expect(notes()).toContainEqual(['Open run', 'Started name-made']);
  });

  it('deletes it only where that was confirmed', async () => {
    const asked = world.app.commands.execute(Commands.deleteDeployment, { id: 'd' });
    await press('Cancel');
    await asked;
    expect(server.scheduled).toHaveLength(1);
    const done = world.app.commands.execute(Commands.deleteDeployment, { id: 'd' });
    await press('Delete');
    await done;
    expect(server.scheduled).toEqual([]);
  });

  it('pauses it, and changes it', async () => {
    await world.app.commands.execute(Commands.pauseDeployment, { id: 'd', paused: true });
    expect(server.asked).toContain('pause d');
    const done = world.app.commands.execute(Commands.changeDeployment, { id: 'd' });
    await press('Save');
    await done;
    expect(server.asked).toContain('change d');
    expect(notes()).toContainEqual(['Show schedules', 'name-d is saved']);
  });

  it('leaves one alone that is not there', async () => {
    await world.app.commands.execute(Commands.runDeployment, { id: 'gone' });
    expect(server.asked.filter(each => each.startsWith('run '))).toEqual([]);
  });
});

describe('what is done with an automation', () => {
  it('deletes it only where that was confirmed', async () => {
    server.automated = [anAutomation('a')];
    activate();
    await world.automated.reload();
    const asked = world.app.commands.execute(Commands.deleteAutomation, { id: 'a' });
    await press('Cancel');
    await asked;
    expect(server.automated).toHaveLength(1);
    const done = world.app.commands.execute(Commands.deleteAutomation, { id: 'a' });
    await press('Delete');
    await done;
    expect(server.automated).toEqual([]);
    await world.app.commands.execute(Commands.deleteAutomation, { id: 'a' });
    expect(server.asked.filter(each => each === 'remove a')).toHaveLength(1);
  });
});

describe('what the server has to tell', () => {
  const alert = (payload: Record<string, unknown>, kind = 'notification') => ({
    seq: 11,
    at: '2026-01-31T12:00:00.000000Z',
    run_id: '',
    kind,
    payload
  });

  it('is shown while nobody looks at the panel, as plain text, with a way to its run', async () => {
    activate();
    await settle();
    const late = {
      title: 'etl is late',
      message: '\u001b[31m10 min',
      level: 'warning',
      run_id: 'r'
    };
    const paused = { title: '<b>paused', message: '', level: 'odd', run_id: null };
    server.socket.message.emit(aMessage(11, [], [alert(late), alert(paused), alert(late, 'log')]));
    expect(notes()).toEqual(
      expect.arrayContaining([
        ['Open run', 'etl is late: 10 min'],
        [undefined, '<b>paused']
      ])
    );
    expect(notes()).toHaveLength(2);
    const types = Notification.manager.notifications.map(note => note.type);
    expect(types.sort()).toEqual(['info', 'warning']);
    const [note] = Notification.manager.notifications.filter(each => each.type === 'warning');
    note.options.actions![0].callback(new MouseEvent('click'));
    await settle();
    expect(world.opened).toEqual(['r']);
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
    const ids = plugins.map(plugin => plugin.id);
    expect(ids).toContain('jupyter-wf:run-notebook');
    expect(ids).toContain('jupyter-wf:schedule-notebook');
    const schedule = scheduleSchema['jupyter.lab.toolbars'].Notebook[0].command;
    const menu = scheduleSchema['jupyter.lab.menus'].context[0].command;
    expect([schedule, menu]).toEqual([Commands.scheduleNotebook, Commands.scheduleNotebook]);
    const [button] = schema['jupyter.lab.toolbars'].Notebook;
    const [item] = schema['jupyter.lab.menus'].context;
    expect([button.command, item.command]).toEqual([Commands.runNotebook, Commands.runNotebook]);
    expect(item.args).toEqual({ browser: true });
  });
});
