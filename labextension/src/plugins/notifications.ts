import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { RunJSON } from '../api/schema';
import { runTitle } from '../draw/names';
import { errorLine, plain } from '../draw/text';
import { formatDuration, spanBetween } from '../draw/time';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** What to say of a run that has ended, and in which tone. */
export function describeEnd(
  run: RunJSON,
  trans: TranslationBundle
): { type: Notification.TypeOptions; message: string } {
  const title = runTitle(run);
  const span = spanBetween(run.started_at, run.ended_at, Date.now());
  const why = run.error ? errorLine(run.error) : plain(run.state.message ?? run.state.name);
  switch (run.state.type) {
    case 'COMPLETED':
      return {
        type: 'success',
        message: trans.__('%1: Completed in %2', title, formatDuration(span ?? 0))
      };
    case 'CANCELLED':
      return { type: 'warning', message: trans.__('%1: Cancelled', title) };
    case 'CRASHED':
      return { type: 'error', message: trans.__('%1: Crashed: %2', title, why) };
    default:
      return { type: 'error', message: trans.__('%1: Failed: %2', title, why) };
  }
}

/** Tells when a run that was started from this browser window has ended. */
export const notifications: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:notifications',
  description: 'Notifies when a workflow run that was started here has ended.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, service: IWorkflows, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    service.started.ended.connect((_, run) => {
      const { type, message } = describeEnd(run, trans);
      Notification.emit(message, type, {
        autoClose: type === 'error' ? false : 10_000,
        actions: [
          {
            label: trans.__('Open run'),
            callback: () => void app.commands.execute(Commands.openRun, { id: run.id })
          }
        ]
      });
    });
    void app.restored.then(() => service.started.resume());
  }
};
