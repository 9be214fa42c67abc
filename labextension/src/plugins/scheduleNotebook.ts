import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { messageOf } from '../api/client';
import { scheduleIcon } from '../components/icons';
import { plain } from '../draw/text';
import { scheduleNotebook as openForm } from '../pages/scheduleDialog';
import { meantNotebooks, notebookArgs, saveOpen } from './notebooks';
import { sessionTools, tellOutcome } from './scheduling';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** "Schedule Notebook…": in the notebook's toolbar, the file browser's context menu and the palette. */
export const scheduleNotebook: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:schedule-notebook',
  description: 'Adds the command that schedules a notebook.',
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

    commands.addCommand(Commands.scheduleNotebook, {
      label: trans.__('Schedule Notebook…'),
      caption: trans.__('Schedule this notebook: now, once, every so often, or by cron'),
      icon: scheduleIcon,
      describedBy: { args: notebookArgs(trans) },
      isEnabled: args => targets(args).length > 0,
      execute: async args => {
        const [path] = targets(args);
        if (path === undefined) {
          return;
        }
        const local = contents.localPath(path);
        const name = plain(local.split('/').pop() ?? local);
        try {
          await saveOpen(notebooks, contents, local);
          const outcome = await openForm(sessionTools(service), local);
          tellOutcome(outcome, service, commands, trans);
        } catch (reason) {
          const why = plain(messageOf(reason));
          Notification.error(trans.__("%1 can't be scheduled: %2", name, why), {
            autoClose: false
          });
        }
      }
    });
    notebooks?.currentChanged.connect(() =>
      commands.notifyCommandChanged(Commands.scheduleNotebook)
    );
    palette?.addItem({ command: Commands.scheduleNotebook, category: trans.__('Workflows') });
  }
};
