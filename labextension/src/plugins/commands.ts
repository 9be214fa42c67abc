/** The commands' names: what menus, toolbars, shortcuts and other extensions refer to. */
export const Commands = {
  runNotebook: 'jupyter-wf:run-notebook',
  scheduleNotebook: 'jupyter-wf:schedule-notebook',
  changeDeployment: 'jupyter-wf:change-deployment',
  runDeployment: 'jupyter-wf:run-deployment',
  pauseDeployment: 'jupyter-wf:pause-deployment',
  deleteDeployment: 'jupyter-wf:delete-deployment',
  deleteAutomation: 'jupyter-wf:delete-automation',
  openRun: 'jupyter-wf:open-run',
  showRuns: 'jupyter-wf:show-runs',
  cancelRun: 'jupyter-wf:cancel-run',
  retryRun: 'jupyter-wf:retry-run'
} as const;
