import type { RunJSON } from '../api/schema';
import type { Action } from '../draw/buttons';
import { isCancellable, isClosed } from '../draw/states';
import type { RunModel } from '../model/run';

/** What a page asks the application to do. */
export interface PageActions {
  openNotebook: (path: string) => void;
  openRun: (id: string) => void;
  onCopy: (text: string) => void;
}

const when = (condition: boolean): 'ready' | 'hidden' => (condition ? 'ready' : 'hidden');

/** Whether a runner has executed it: then its notebook can be run again and looked at. */
function isNotebook({ kind, source }: RunJSON): boolean {
  return kind === 'flow' && typeof source.path === 'string' && typeof source.executed === 'string';
}

/** The buttons of a run's page. */
export function pageActions(model: RunModel, page: PageActions): Action[] {
  const openNotebook = async (what: 'executed' | 'snapshot'): Promise<boolean> => {
    const path = await model.notebook(what);
    if (path !== null) {
      page.openNotebook(path);
    }
    // It can be opened again.
    return false;
  };
  return [
    {
      id: 'cancel',
      label: 'Cancel',
      busy: 'Cancelling…',
      state: run => (isClosed(run.state) ? 'hidden' : isCancellable(run.state) ? 'ready' : 'busy'),
      press: () => model.cancel()
    },
    {
      id: 'retry',
      label: 'Retry',
      busy: 'Retrying…',
      title: 'Try the run again in the process that ran it',
      state: run => when(run.can_retry),
      press: () => model.retry()
    },
    {
      id: 'resume',
      label: 'Resume',
      busy: 'Resuming…',
      title: 'Go on: what had completed is restored, the failed cell and what comes after it run',
      state: run => when(run.can_resume && !run.can_retry),
      press: () => model.goOn('resume')
    },
    {
      id: 'repair',
      label: 'Repair',
      busy: 'Repairing…',
      title: 'Run only the failed tasks and those that depend on them',
      state: run => when(run.can_resume && !run.can_retry),
      press: () => model.goOn('repair')
    },
    {
      id: 'rerun',
      label: 'Run again',
      busy: 'Starting…',
      title: 'Start a new run with the same notebook and parameters',
      state: run => when(isNotebook(run) && isClosed(run.state)),
      press: async () => {
        const made = await model.rerun();
        if (made !== null) {
          page.openRun(made.id);
        }
        return false;
      }
    },
    {
      id: 'executed',
      label: 'Open executed notebook',
      busy: 'Opening…',
      title: 'A notebook that lies elsewhere is copied next to the one that was run',
      state: run => when(typeof run.source.executed === 'string'),
      press: () => openNotebook('executed')
    },
    {
      id: 'snapshot',
      label: 'Open notebook as it was',
      busy: 'Opening…',
      title: 'Open a copy of the notebook as it was when it was run',
      state: run => when(isNotebook(run) && typeof run.source.digest === 'string'),
      press: () => openNotebook('snapshot')
    }
  ];
}
