import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { workflowIcon } from '../components/icons';
import { WorkflowPanel } from '../pages/panel';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

const ROW = '.jp-WfRunRow';
const OPEN_STATES = ['SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED'];

const selectorOf = (state: string): string => `${ROW}[data-state="${state}"]`;

/** The left panel "Workflows", the command that shows it, and its rows' context menu. */
export const panel: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:panel',
  description: 'Adds the panel with the live list of workflow runs.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ILayoutRestorer, ICommandPalette, ITranslator, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    service: IWorkflows,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
    labShell: ILabShell | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const { commands } = app;
    const openRun = (id: string): void => void commands.execute(Commands.openRun, { id });
    /** Do something with the notebook in front: only JupyterLab has one beside the panel. */
    const withNotebook = (command: string): (() => void) | null =>
      labShell &&
      (() => {
        if (commands.isEnabled(command)) {
          void commands.execute(command);
        } else {
          Notification.info(trans.__('Open a notebook first, or select one in the file browser.'), {
            autoClose: 5000
          });
        }
      });
    const widget = new WorkflowPanel(service.runs, service.deployments, service.automations, {
      openRun,
      runNotebook: withNotebook(Commands.runNotebook),
      scheduleNotebook: withNotebook(Commands.scheduleNotebook),
      deployments: {
        openRun,
        setPaused: (id, paused) => void commands.execute(Commands.pauseDeployment, { id, paused }),
        run: (id, ask) => void commands.execute(Commands.runDeployment, { id, ask }),
        edit: id => void commands.execute(Commands.changeDeployment, { id }),
        remove: id => void commands.execute(Commands.deleteDeployment, { id })
      },
      automations: {
        setEnabled: (id, enabled) => void service.automations.setEnabled(id, enabled),
        test: id => void service.automations.test(id),
        dismissTest: id => service.automations.dismissTest(id),
        remove: id => void commands.execute(Commands.deleteAutomation, { id })
      }
    });
    app.shell.add(widget, 'left', { rank: 550, type: 'Workflows' });
    restorer?.add(widget, widget.id);

    const rowUnderMenu = (): string | undefined =>
      app.contextMenuHitTest(node => node.classList.contains('jp-WfRunRow'))?.dataset.runId;

    commands.addCommand(Commands.showRuns, {
      label: trans.__('Show Workflow Runs'),
      caption: trans.__('Show the panel with the live list of workflow runs'),
      icon: workflowIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(widget.id)
    });
    const runArgs = {
      args: {
        type: 'object',
        properties: { id: { type: 'string', description: trans.__('The id of the run') } }
      }
    } as const;
    commands.addCommand(Commands.cancelRun, {
      label: trans.__('Cancel Run'),
      describedBy: runArgs,
      execute: async args => {
        const id = typeof args.id === 'string' ? args.id : rowUnderMenu();
        return id === undefined ? false : service.runs.cancel(id);
      }
    });
    commands.addCommand(Commands.retryRun, {
      label: trans.__('Retry Run'),
      describedBy: runArgs,
      execute: async args => {
        const id = typeof args.id === 'string' ? args.id : rowUnderMenu();
        return id === undefined ? false : service.runs.retry(id);
      }
    });
    app.contextMenu.addItem({ command: Commands.openRun, selector: ROW, rank: 1 });
    // A menu item's selector must not hold a comma: one item for each state.
    for (const state of OPEN_STATES) {
      app.contextMenu.addItem({
        command: Commands.cancelRun,
        selector: selectorOf(state),
        rank: 2
      });
    }
    app.contextMenu.addItem({
      command: Commands.retryRun,
      selector: `${ROW}[data-can-retry="true"]`,
      rank: 3
    });
    palette?.addItem({ command: Commands.showRuns, category: trans.__('Workflows') });
  }
};
