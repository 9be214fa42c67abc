import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { plain } from '../draw/text';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** What is asked before it is done with an automation, as a command: the panel's section "Automations" uses it. */
export const automations: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:automations',
  description: 'Adds the command that deletes an automation.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, service: IWorkflows, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const id = { type: 'string', description: trans.__('The id of the automation') } as const;
    app.commands.addCommand(Commands.deleteAutomation, {
      label: trans.__('Delete Automation…'),
      describedBy: { args: { type: 'object', properties: { id }, required: ['id'] } },
      execute: async args => {
        const found = service.automations.find(typeof args.id === 'string' ? args.id : '');
        if (found === undefined) {
          return;
        }
        const { button } = await showDialog({
          title: trans.__('Delete %1?', plain(found.name)),
          body: trans.__('What it has yet to do goes with it.'),
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
          defaultButton: 0
        });
        if (button.accept) {
          await service.automations.remove(found.id);
        }
      }
    });
  }
};
