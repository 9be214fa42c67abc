import type { RunJSON } from '../api/schema';
import { make, setAttribute, setText } from './drawing';

/** Something that can be asked for a run. */
export interface Action {
  readonly id: string;
  readonly label: string;
  /** The label once it was asked for. */
  readonly busy: string;
  readonly title?: string;
  /** Whether it makes sense now; `busy` that it is being done already, whoever asked. */
  state(run: RunJSON): 'hidden' | 'ready' | 'busy';
  /** Ask for it. False (or a promise of it) says that it was refused, and can be asked for again. */
  press(run: RunJSON): boolean | void | Promise<boolean | void>;
}

/** A button for each action. A request holds for one attempt: the next one has its own buttons. */
export class Buttons {
  readonly element = make('span', 'wf-Head-buttons');

  constructor(private readonly actions: readonly Action[]) {
    for (const action of actions) {
      const button = make('button', `wf-Button wf-Do-${action.id}`);
      button.type = 'button';
      button.addEventListener('click', () => void this.press(action));
      this.buttons.set(action.id, button);
      this.element.append(button);
    }
  }

  update(run: RunJSON): void {
    this.run = run;
    for (const action of this.actions) {
      const button = this.buttons.get(action.id)!;
      const state = action.state(run);
      const asked = this.asked.get(action.id) === mark(run);
      button.hidden = state === 'hidden';
      button.disabled = state === 'busy' || asked;
      setText(button, button.disabled ? action.busy : action.label);
      setAttribute(button, 'title', action.title ?? null);
    }
  }

  private async press(action: Action): Promise<void> {
    const { run } = this;
    if (run === null) {
      return;
    }
    this.asked.set(action.id, mark(run));
    this.update(run);
    if ((await action.press(run)) === false) {
      this.asked.delete(action.id);
      this.update(this.run ?? run);
    }
  }

  private readonly buttons = new Map<string, HTMLButtonElement>();
  private readonly asked = new Map<string, string>();
  private run: RunJSON | null = null;
}

function mark(run: RunJSON): string {
  return `${run.id} ${run.attempt} ${run.state.type}`;
}
