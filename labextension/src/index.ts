import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { automations } from './plugins/automations';
import { deployments } from './plugins/deployments';
import { notifications } from './plugins/notifications';
import { panel } from './plugins/panel';
import { runNotebook } from './plugins/runNotebook';
import { runPages } from './plugins/runPages';
import { scheduleNotebook } from './plugins/scheduleNotebook';
import { workflows } from './plugins/workflows';
import type { IWorkflows as IWorkflowsService } from './plugins/tokens';

export { IWorkflows } from './plugins/tokens';

const plugins: (JupyterFrontEndPlugin<IWorkflowsService> | JupyterFrontEndPlugin<void>)[] = [
  workflows,
  panel,
  runPages,
  runNotebook,
  scheduleNotebook,
  deployments,
  automations,
  notifications
];

export default plugins;
