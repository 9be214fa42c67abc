import * as React from 'react';
import type { RunErrorJSON } from '../api/schema';
import { errorLine, plain } from '../draw/text';

/** An error with its traceback, as plain text. */
export function ErrorBox(props: { error: RunErrorJSON; of: string | null }): JSX.Element {
  const { error, of } = props;
  const line = errorLine(error);
  const traceback = plain(error.traceback).trimEnd();
  return (
    <section className="jp-WfError" aria-label={of === null ? 'Error' : `Error of ${plain(of)}`}>
      <p className="jp-WfError-line">
        {of !== null && <span className="jp-WfError-of">{plain(of)}: </span>}
        {line}
      </p>
      {traceback && (
        <details open>
          <summary>Traceback</summary>
          <pre tabIndex={0}>{traceback}</pre>
        </details>
      )}
    </section>
  );
}
