import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { EventJSON, RunJSON } from '../api/schema';
import { runTitle } from '../draw/names';
import { errorLine, plain } from '../draw/text';
import { formatDuration, spanBetween } from '../draw/time';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

const TONES: readonly Notification.TypeOptions[] = ['info', 'success', 'warning', 'error'];

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

/** What a notification of the server says, and in which tone; null where an event is none. */
export function describeNotification(
  event: EventJSON
): { type: Notification.TypeOptions; message: string; runId: string | null } | null {
  const { title, message, level, run_id: runId } = event.payload;
  if (event.kind !== 'notification' || typeof title !== 'string') {
    return null;
  }
  const said = typeof message === 'string' && message !== '' ? `${title}: ${message}` : title;
  const type = TONES.find(each => each === level) ?? 'info';
  return { type, message: plain(said), runId: typeof runId === 'string' ? runId : null };
}

/**
 * Tells when a run that was started from this browser window has ended, and what automations, deadlines and paused
 * deployments have to say.
 */
export const notifications: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:notifications',
  description:
    'Notifies when a workflow run that was started here has ended, and of what automations tell.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, service: IWorkflows, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const tell = (message: string, type: Notification.TypeOptions, id: string | null): void => {
      const label = trans.__('Open run');
      const callback = (): void => void app.commands.execute(Commands.openRun, { id });
      Notification.emit(message, type, {
        autoClose: type === 'error' ? false : 10_000,
        actions: id === null ? [] : [{ label, callback }]
      });
    };
    service.started.ended.connect((_, run) => {
      const { type, message } = describeEnd(run, trans);
      tell(message, type, run.id);
    });
    service.runs.heard.connect((_, { events }) => {
      for (const event of events) {
        const told = describeNotification(event);
        if (told !== null) {
          tell(told.message, told.type, told.runId);
        }
      }
    });
    void app.restored.then(() => {
      void service.started.resume();
      // The stream is listened to from the beginning, whether or not somebody looks at the panel.
      service.runs.start();
    });
  }
};
