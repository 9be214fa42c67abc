/** The commands' names: what menus, toolbars, shortcuts and other extensions refer to. */
export const Commands = {
  runNotebook: 'jupyter-wf:run-notebook',
  openRun: 'jupyter-wf:open-run',
  showRuns: 'jupyter-wf:show-runs',
  cancelRun: 'jupyter-wf:cancel-run',
  retryRun: 'jupyter-wf:retry-run'
} as const;
