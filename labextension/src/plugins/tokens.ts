import { Token } from '@lumino/coreutils';
import type { OpenSocket, RunsModel } from '../model/runs';
import type { StartedRuns } from '../model/started';
import type { WorkflowClient } from '../api/client';
import type { AutomationsModel } from '../model/automations';
import type { DeploymentsModel } from '../model/deployments';

/** What the extension's plugins share, and what other extensions may use. */
export interface IWorkflows {
  readonly client: WorkflowClient;
  readonly openSocket: OpenSocket;
  /** The live list of root runs. */
  readonly runs: RunsModel;
  /** The live list of deployments: scheduled notebooks and flows. */
  readonly deployments: DeploymentsModel;
  /** The live list of automations. */
  readonly automations: AutomationsModel;
  /** The runs that were started from this browser window. */
  readonly started: StartedRuns;
}

export const IWorkflows = new Token<IWorkflows>(
  'jupyter-wf:IWorkflows',
  'The live list of workflow runs, and the client that starts, cancels and retries them.'
);
