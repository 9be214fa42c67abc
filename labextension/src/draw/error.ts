import type { RunErrorJSON } from '../api/schema';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { errorLine, plain } from './text';

/** An error as one line that opens to its traceback. It hides itself where there is no error. */
export function drawError(): Drawing<RunErrorJSON | null> {
  const element = make('div', 'wf-Error');
  const toggle = make('button', 'wf-Error-toggle');
  const arrow = make('span', 'wf-Error-arrow');
  const line = make('span', 'wf-Error-line');
  const traceback = make('pre', 'wf-Error-traceback');
  toggle.type = 'button';
  arrow.setAttribute('aria-hidden', 'true');
  traceback.tabIndex = 0;
  toggle.append(arrow, line);
  element.append(toggle, traceback);
  let open = false;
  const show = (): void => {
    setAttribute(toggle, 'aria-expanded', String(open));
    setText(arrow, open ? '▾' : '▸');
    traceback.hidden = !open;
  };
  toggle.addEventListener('click', () => {
    open = !open;
    show();
  });
  show();
  return {
    element,
    update(error) {
      element.hidden = error === null;
      if (error !== null) {
        setText(line, errorLine(error));
        setAttribute(toggle, 'title', open ? 'Hide the traceback' : 'Show the traceback');
        setText(traceback, plain(error.traceback || errorLine(error)).trimEnd());
      }
    }
  };
}

/** A traceback as plain text. It hides itself where there is no error. */
export function drawTraceback(): Drawing<RunErrorJSON | null> {
  const element = make('pre', 'wf-Error-traceback');
  element.tabIndex = 0;
  element.setAttribute('aria-label', 'Traceback');
  return {
    element,
    update(error) {
      element.hidden = error === null;
      setText(element, error === null ? '' : plain(error.traceback || errorLine(error)).trimEnd());
    }
  };
}
