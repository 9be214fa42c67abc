import { Dialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import type * as React from 'react';

/** What a dialog with a form is made of. `T` is what comes of it. */
export interface FormDialogOptions<T> {
  title: string;
  body: () => React.ReactElement;
  /** Tells that `label` or `ready` may have changed. */
  changed: ISignal<unknown, void>;
  label: () => string;
  ready: () => boolean;
  /** Send it; null keeps the dialog open, with all that was typed. */
  submit: () => Promise<T | null>;
  /** A CSS selector of what gets the focus. */
  focus?: string;
}

class Body extends ReactWidget {
  constructor(private readonly make: () => React.ReactElement) {
    super();
    this.addClass('wf-root');
    this.addClass('jp-WfDialog-body');
  }

  protected override render(): React.ReactElement {
    return this.make();
  }
}

/**
 * JupyterLab's dialog with a form in it, which closes only when what was sent was taken. What is wrong with the fields
 * is the form's business: `ready` says whether the button can be pressed.
 */
class FormDialog<T> extends Dialog<null> {
  constructor(private readonly form: FormDialogOptions<T>) {
    super({
      title: form.title,
      body: new Body(form.body) as unknown as Dialog.IBodyWidget<null>,
      buttons: [Dialog.cancelButton(), Dialog.okButton({ label: form.label() })],
      focusNodeSelector: form.focus
    });
    this.addClass('jp-WfDialog');
    form.changed.connect(this.refresh, this);
    this.refresh();
  }

  /** Show it until it is closed. */
  async run(): Promise<T | null> {
    try {
      await this.launch();
    } catch (reason) {
      // So tells JupyterLab of a dialog that was disposed of: nothing came of it.
      if (reason !== undefined) {
        throw reason;
      }
    }
    return this.outcome;
  }

  override dispose(): void {
    this.form.changed.disconnect(this.refresh, this);
    super.dispose();
  }

  override resolve(index?: number): void {
    if (index === 0) {
      super.resolve(index);
    } else if (this.form.ready()) {
      void this.send();
    }
  }

  protected override _checkValidation(): void {
    this.refresh();
  }

  private async send(): Promise<void> {
    this.outcome = await this.form.submit();
    if (this.outcome !== null) {
      super.resolve(1);
    } else {
      // What was refused is painted with the next frame.
      requestAnimationFrame(() => {
        this.node.querySelector('[role="alert"]')?.scrollIntoView({ block: 'nearest' });
      });
    }
  }

  private outcome: T | null = null;

  private refresh(): void {
    const button = this.node.querySelector<HTMLButtonElement>('.jp-Dialog-button.jp-mod-accept');
    const label = button?.querySelector('.jp-Dialog-buttonLabel');
    if (button && label) {
      button.disabled = !this.form.ready();
      if (label.textContent !== this.form.label()) {
        label.textContent = this.form.label();
        button.setAttribute('aria-label', this.form.label());
      }
    }
  }
}

/** Show a dialog with a form; resolves to what came of it, null where it was closed without. */
export async function showForm<T>(options: FormDialogOptions<T>): Promise<T | null> {
  const dialog = new FormDialog(options);
  const outcome = await dialog.run();
  dialog.dispose();
  return outcome;
}
