import type { RunJSON } from '../api/schema';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { plain } from './text';

/** Where the executed notebook lies, when it is not below the folder that Jupyter shows. */
export function drawExecuted(onCopy: (path: string) => void): Drawing<RunJSON> {
  const element = make('div', 'jp-WfExecuted');
  const path = make('code', '');
  const copy = make('button', 'wf-Button', 'Copy path');
  let shown = '';
  copy.type = 'button';
  copy.addEventListener('click', () => onCopy(shown));
  element.append(make('span', '', 'Executed notebook:'), path, copy);
  return {
    element,
    update({ source }) {
      const { executed, executed_path: below } = source;
      shown = typeof executed === 'string' && typeof below !== 'string' ? executed : '';
      element.hidden = shown === '';
      setText(path, plain(shown));
      setAttribute(path, 'title', plain(shown));
    }
  };
}
