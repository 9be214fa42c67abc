import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { messageOf } from '../api/client';
import type { DeploymentJSON } from '../api/schema';
import { plain } from '../draw/text';
import { changeDeployment, runWithParameters } from '../pages/scheduleDialog';
import { sessionTools, tellOutcome, tellStarted } from './scheduling';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** What can be done with a deployment, as commands: the panel's section "Scheduled" uses them. */
export const deployments: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:deployments',
  description: 'Adds the commands that change, run, pause and delete what is scheduled.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, service: IWorkflows, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const { commands } = app;
    const model = service.deployments;
    const tools = sessionTools(service);
    const id = { type: 'string', description: trans.__('The id of the deployment') } as const;

    /** Do something with the deployment that is named; what goes wrong is told. */
    const withOne =
      (action: (deployment: DeploymentJSON, args: ReadonlyPartialJSONObject) => Promise<void>) =>
      async (args: ReadonlyPartialJSONObject): Promise<void> => {
        const wanted = typeof args.id === 'string' ? args.id : '';
        try {
          if (model.find(wanted) === undefined) {
            await model.reload();
          }
          const found = model.find(wanted);
          if (found !== undefined) {
            await action(found.deployment, args);
          }
        } catch (reason) {
          Notification.error(plain(messageOf(reason)), { autoClose: false });
        }
      };

    commands.addCommand(Commands.changeDeployment, {
      label: trans.__('Change Schedule…'),
      describedBy: { args: { type: 'object', properties: { id }, required: ['id'] } },
      execute: withOne(async deployment => {
        const outcome = await changeDeployment(tools, deployment);
        tellOutcome(outcome, service, commands, trans);
      })
    });

    commands.addCommand(Commands.runDeployment, {
      label: trans.__('Run Now'),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            id,
            ask: { type: 'boolean', description: trans.__('Whether to ask for parameters first') }
          },
          required: ['id']
        }
      },
      execute: withOne(async (deployment, args) => {
        const run =
          args.ask === true
            ? await runWithParameters(tools, deployment)
            : await model.runNow(deployment.id);
        if (run !== null) {
          service.runs.add(run);
          tellStarted(run, service, commands, trans);
          void model.reload();
        }
      })
    });

    commands.addCommand(Commands.pauseDeployment, {
      label: args =>
        args.paused === false ? trans.__('Switch Schedules On') : trans.__('Pause Schedules'),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            id,
            paused: { type: 'boolean', description: trans.__('False switches them on again') }
          },
          required: ['id']
        }
      },
      execute: withOne(async (deployment, args) => {
        await model.setPaused(deployment.id, args.paused !== false);
      })
    });

    commands.addCommand(Commands.deleteDeployment, {
      label: trans.__('Delete Schedule…'),
      describedBy: { args: { type: 'object', properties: { id }, required: ['id'] } },
      execute: withOne(async deployment => {
        const { button } = await showDialog({
          title: trans.__('Delete %1?', plain(deployment.name)),
          body: trans.__(
            'Its schedules and what waits to be run go. The notebook, and the runs that there were, stay.'
          ),
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
          defaultButton: 0
        });
        if (button.accept) {
          await model.remove(deployment.id);
        }
      })
    });
  }
};
