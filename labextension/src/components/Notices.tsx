import * as React from 'react';
import { plain } from '../draw/text';

/** Says that the stream is being reconnected; an empty, silent place otherwise. */
export function ConnectionNotice(props: { connection: string }): JSX.Element {
  const down = props.connection === 'reconnecting';
  return (
    <div className="jp-WfConnection" role="status" data-connection={props.connection}>
      {down ? 'Connection lost, reconnecting…' : ''}
    </div>
  );
}

/** A refusal or a failure in the server's words. */
export function Problem(props: { text: string | null; onDismiss: () => void }): JSX.Element | null {
  if (props.text === null) {
    return null;
  }
  return (
    <div className="jp-WfProblem" role="alert">
      <span className="jp-WfProblem-text">{plain(props.text)}</span>
      <button type="button" className="wf-Button" onClick={props.onDismiss}>
        Dismiss
      </button>
    </div>
  );
}
