import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { AutomationClient } from '../api/automations';
import { WorkflowClient } from '../api/client';
import { DeploymentClient } from '../api/deployments';
import { EventSocket } from '../api/events';
import { AutomationsModel } from '../model/automations';
import { DeploymentsModel } from '../model/deployments';
import { type OpenSocket, RunsModel } from '../model/runs';
import { StartedRuns } from '../model/started';
import { IWorkflows } from './tokens';

/** Makes what the other plugins share. Nothing talks to the server before something is shown or started. */
export const workflows: JupyterFrontEndPlugin<IWorkflows> = {
  id: 'jupyter-wf:workflows',
  description: 'Provides the client of the workflow server and the live list of runs.',
  autoStart: true,
  provides: IWorkflows,
  activate: (app: JupyterFrontEnd): IWorkflows => {
    const client = new WorkflowClient(app.serviceManager.serverSettings);
    const openSocket: OpenSocket = options => new EventSocket(options);
    const runs = new RunsModel(client, openSocket);
    return {
      client,
      openSocket,
      runs,
      deployments: new DeploymentsModel(new DeploymentClient(client.settings), runs),
      automations: new AutomationsModel(new AutomationClient(client.settings), runs),
      started: new StartedRuns(runs, window.sessionStorage)
    };
  }
};
