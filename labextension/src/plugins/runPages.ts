import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Clipboard, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { workflowIcon } from '../components/icons';
import { RunModel } from '../model/run';
import { RunPageContent } from '../pages/runPage';
import { IWorkflows } from './tokens';
import { Commands } from './commands';

/** The pages of single runs, the command that opens one, and their return after a reload. */
export const runPages: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-wf:run-pages',
  description: 'Shows a workflow run with its tasks, logs and errors in the main area.',
  autoStart: true,
  requires: [IWorkflows],
  optional: [ILayoutRestorer, ITranslator, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    service: IWorkflows,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null,
    labShell: ILabShell | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_wf');
    const { commands } = app;
    const tracker = new WidgetTracker<MainAreaWidget<RunPageContent>>({
      namespace: 'jupyter-wf-run'
    });
    // Notebook 7 keeps its main area for the document: there the page opens beside it.
    const area = labShell === null ? 'right' : 'main';

    const makePage = (id: string): MainAreaWidget<RunPageContent> => {
      const model = new RunModel(id, service.client, service.openSocket);
      const content = new RunPageContent(model, {
        openNotebook: path => void commands.execute('docmanager:open', { path }),
        openRun: run => void commands.execute(Commands.openRun, { id: run }),
        onCopy: text => Clipboard.copyToSystem(text)
      });
      const page = new MainAreaWidget({ content });
      page.id = `jupyter-wf-run-${id}`;
      page.toolbar.hide();
      return page;
    };

    commands.addCommand(Commands.openRun, {
      label: trans.__('Open Run'),
      caption: trans.__('Show a workflow run with its tasks and logs'),
      icon: workflowIcon,
      describedBy: {
        args: {
          type: 'object',
          properties: { id: { type: 'string', description: trans.__('The id of the run') } }
        }
      },
      execute: async args => {
        const id =
          typeof args.id === 'string'
            ? args.id
            : app.contextMenuHitTest(node => node.classList.contains('jp-WfRunRow'))?.dataset.runId;
        if (id === undefined) {
          return undefined;
        }
        let page = tracker.find(open => open.content.model.runId === id);
        if (page === undefined) {
          page = makePage(id);
          await tracker.add(page);
        }
        if (!page.isAttached) {
          app.shell.add(page, area, { type: 'Workflow Run' });
        }
        app.shell.activateById(page.id);
        return page;
      }
    });

    if (restorer !== null) {
      void restorer.restore(tracker, {
        command: Commands.openRun,
        args: page => ({ id: page.content.model.runId }),
        name: page => page.content.model.runId
      });
    }
  }
};
