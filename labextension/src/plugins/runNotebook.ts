import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { messageOf } from '../api/client';
import { workflowIcon } from '../components/icons';
import { runTitle } from '../draw/names';
import { plain } from '../draw/text';
import { meantNotebooks, notebookArgs, saveOpen } from './notebooks';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** "Run Notebook as Workflow": in the notebook's toolbar, the file browser's context menu and the palette. */
export const runNotebook: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:run-notebook',
  description: 'Adds the command that runs a notebook as a workflow.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [INotebookTracker, IFileBrowserFactory, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    service: IWorkflows,
    notebooks: INotebookTracker | null,
    browsers: IFileBrowserFactory | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const { commands } = app;
    const { contents } = app.serviceManager;

    const targets = meantNotebooks(notebooks, browsers);

    const start = async (path: string): Promise<void> => {
      const local = contents.localPath(path);
      const name = plain(local.split('/').pop() ?? local);
      try {
        await saveOpen(notebooks, contents, local);
        const run = await service.runs.startNotebook(local);
        service.started.add(run);
        Notification.info(trans.__('Started %1', runTitle(run)), {
          autoClose: 5000,
          actions: [
            {
              label: trans.__('Open run'),
              callback: () => void commands.execute(Commands.openRun, { id: run.id })
            }
          ]
        });
      } catch (reason) {
        Notification.error(trans.__('%1 was not started: %2', name, plain(messageOf(reason))), {
          autoClose: false
        });
      }
    };

    commands.addCommand(Commands.runNotebook, {
      label: trans.__('Run Notebook as Workflow'),
      caption: trans.__('Run this notebook as a workflow, in a kernel of its own'),
      icon: workflowIcon,
      describedBy: {
        args: notebookArgs(trans)
      },
      isEnabled: args => targets(args).length > 0,
      execute: async args => {
        for (const path of targets(args)) {
          await start(path);
        }
      }
    });
    notebooks?.currentChanged.connect(() => commands.notifyCommandChanged(Commands.runNotebook));
    palette?.addItem({ command: Commands.runNotebook, category: trans.__('Workflows') });
  }
};
