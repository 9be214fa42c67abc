import * as React from 'react';

/** The first cell of a beginner, to be copied. */
export const EXAMPLE = `%load_ext jupyter_wf

%%task hello --retries 2
print("Hello, workflow!")`;

const [LOAD, ...TASK] = EXAMPLE.split('\n\n');

/** Shown where there is no run yet: says how to make the first one. */
export function EmptyState(props: { onRunNotebook: (() => void) | null }): JSX.Element {
  const { onRunNotebook } = props;
  return (
    <div className="jp-WfEmpty">
      <p className="jp-WfEmpty-title">No runs yet</p>
      <p>Make a cell a task. In one cell:</p>
      <pre>{LOAD}</pre>
      <p>and in the next:</p>
      <pre>{TASK.join('\n\n')}</pre>
      <p>Or run a whole notebook in the background, each cell a step you can watch here:</p>
      {onRunNotebook === null ? (
        <p>open a notebook and press “Run Notebook as Workflow” in its toolbar.</p>
      ) : (
        <button type="button" className="wf-Button jp-WfEmpty-run" onClick={onRunNotebook}>
          Run Notebook as Workflow
        </button>
      )}
    </div>
  );
}
