/**
 * The live view of a run below a notebook cell: plain DOM, for anywidget (JupyterLab, Notebook 7, VS Code, Colab).
 * Everything that comes from a run is set as text.
 */
import '../../style/run_view.css';
import type { Action } from '../draw/buttons';
import { make, setAttribute } from '../draw/drawing';
import { newMemory, Screen } from '../draw/screen';
import { isCancellable, isClosed } from '../draw/states';
import { Session, type WidgetModel } from './session';

interface Place {
  model: WidgetModel;
  el: HTMLElement;
}

/** What anywidget calls once for each widget: with its model, and for each place at which it is shown. */
export interface RunViewWidget {
  initialize(made: { model: WidgetModel }): () => void;
  render(place: Place): () => void;
}

/** Cancel and Retry, as far as the kernel is there to be asked. */
function actionsOf(session: Session): Action[] {
  return [
    {
      id: 'cancel',
      label: 'Cancel',
      busy: 'Cancelling…',
      state: run => {
        if (!session.connected || !session.tree.live || isClosed(run.state)) {
          return 'hidden';
        }
        return isCancellable(run.state) ? 'ready' : 'busy';
      },
      press: run => session.send({ type: 'cancel', run_id: run.id })
    },
    {
      id: 'retry',
      label: 'Retry',
      busy: 'Retrying…',
      state: () => (session.connected && session.tree.canRetry ? 'ready' : 'hidden'),
      press: run => session.send({ type: 'retry', run_id: run.id })
    }
  ];
}

export default function makeWidget(): RunViewWidget {
  // The tab, what is chosen and what is open stay when the place is drawn anew (a cell that was scrolled away).
  const memory = newMemory();
  let session: Session | null = null;
  return {
    initialize({ model }) {
      const mine = new Session(model);
      session = mine;
      return () => mine.dispose();
    },
    render({ model, el }) {
      const shown = (session ??= new Session(model));
      const host = make('div', 'wf-RunView wf-root');
      const { compact } = shown;
      const screen = new Screen(shown.tree, { actions: actionsOf(shown), memory, compact });
      const update = (): void => {
        const { run } = shown.tree;
        host.hidden = run === null;
        setAttribute(host, 'data-state', run?.state.type ?? null);
        setAttribute(host, 'data-run-id', run?.id ?? null);
        setAttribute(host, 'data-connected', String(shown.connected));
        setAttribute(host, 'data-mode', compact ? 'compact' : 'full');
        screen.invalidate();
      };
      host.append(screen.element);
      update();
      el.append(host);
      const leave = shown.subscribe(update);
      return () => {
        leave();
        screen.dispose();
        host.remove();
      };
    }
  };
}
