import { make } from './drawing';

/** One button of a drawing's tools; `key` is the key that does the same, shown in the tooltip. */
export interface Tool {
  readonly id: string;
  readonly sign: string;
  readonly label: string;
  readonly key: string;
  press(): void;
}

/** The small buttons of a drawing: zoom in, zoom out, show everything. */
export function drawToolbox(tools: readonly Tool[]): HTMLElement {
  const element = make('div', 'wf-Tools');
  element.setAttribute('role', 'group');
  element.setAttribute('aria-label', 'Zoom');
  for (const { id, sign, label, key, press } of tools) {
    const button = make('button', 'wf-Button wf-Tools-button', sign);
    button.type = 'button';
    button.dataset.tool = id;
    button.title = `${label} (${key})`;
    button.setAttribute('aria-label', label);
    button.addEventListener('click', press);
    element.append(button);
  }
  return element;
}
