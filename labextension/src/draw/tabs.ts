import { make, setAttribute, setText } from './drawing';

/** One tab; its panel is made when it is shown for the first time. */
export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly panel: HTMLElement;
}

let made = 0;

/** Tabs as ARIA wants them: arrows, Home and End walk, one tab at a time can be reached with Tab. */
export class Tabs {
  readonly element = make('div', 'wf-Tabs');

  constructor(
    private readonly tabs: readonly Tab[],
    private readonly onOpen: (id: string) => void
  ) {
    const prefix = `wf-tabs-${++made}`;
    this.element.setAttribute('role', 'tablist');
    this.element.setAttribute('aria-label', 'What to show of the run');
    for (const { id, label, panel } of tabs) {
      const button = make('button', 'wf-Tab', label);
      button.type = 'button';
      button.id = `${prefix}-${id}`;
      button.dataset.tab = id;
      button.setAttribute('role', 'tab');
      button.setAttribute('aria-controls', `${prefix}-${id}-panel`);
      panel.id = `${prefix}-${id}-panel`;
      panel.dataset.panel = id;
      panel.setAttribute('role', 'tabpanel');
      panel.setAttribute('aria-labelledby', button.id);
      button.addEventListener('click', () => this.onOpen(id));
      button.addEventListener('keydown', event => this.onKeyDown(event, id));
      this.buttons.set(id, button);
      this.element.append(button);
    }
  }

  /** Show which tabs there are and which one is open. */
  update(
    shown: readonly string[],
    open: string,
    notes: Readonly<Record<string, string>> = {}
  ): void {
    this.shown = shown;
    this.element.hidden = shown.length < 2;
    for (const { id, label, panel } of this.tabs) {
      const button = this.buttons.get(id)!;
      const selected = id === open;
      setAttribute(button, 'hidden', shown.includes(id) ? null : '');
      setText(button, notes[id] ? `${label} ${notes[id]}` : label);
      setAttribute(button, 'aria-selected', String(selected));
      setAttribute(button, 'tabindex', selected ? '0' : '-1');
      // Nothing is done to a panel that stays closed.
      setAttribute(panel, 'hidden', selected ? null : '');
    }
  }

  private onKeyDown(event: KeyboardEvent, id: string): void {
    const { shown } = this;
    const at = shown.indexOf(id);
    const places: Record<string, number> = {
      ArrowRight: (at + 1) % shown.length,
      ArrowLeft: (at + shown.length - 1) % shown.length,
      Home: 0,
      End: shown.length - 1
    };
    const place = places[event.key];
    if (place !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      event.stopPropagation();
      this.onOpen(shown[place]);
      this.buttons.get(shown[place])?.focus();
    }
  }

  private readonly buttons = new Map<string, HTMLButtonElement>();
  private shown: readonly string[] = [];
}
