import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { RunJSON } from '../api/schema';
import { runTitle } from '../draw/names';
import { plain } from '../draw/text';
import type { Outcome, SessionTools } from '../model/scheduleSession';
import type { IWorkflows } from './tokens';
import { Commands } from './commands';

/** What the dialogs need of the service. */
export function sessionTools(service: IWorkflows): SessionTools {
  return {
    deployments: service.deployments,
    startNotebook: (path, parameters) => service.runs.startNotebook(path, parameters)
  };
}

/** Say that a run was started, with a way to it, and see to it that its end is told too. */
export function tellStarted(
  run: RunJSON,
  service: IWorkflows,
  commands: CommandRegistry,
  trans: TranslationBundle
): void {
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
}

/** Say what came of the form of a schedule; nothing where it was closed without. */
export function tellOutcome(
  outcome: Outcome | null,
  service: IWorkflows,
  commands: CommandRegistry,
  trans: TranslationBundle
): void {
  if (outcome === null) {
    return;
  }
  if ('run' in outcome) {
    tellStarted(outcome.run, service, commands, trans);
    return;
  }
  Notification.success(trans.__('%1 is saved', plain(outcome.saved)), {
    autoClose: 5000,
    actions: [
      {
        label: trans.__('Show schedules'),
        callback: () => void commands.execute(Commands.showRuns)
      }
    ]
  });
}
