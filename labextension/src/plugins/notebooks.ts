import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

/** Which notebook a command is about: `path`, else what is selected in the file browser, else the one in front. */
export interface NotebookArgs {
  path?: unknown;
  browser?: unknown;
}

/** The description of `NotebookArgs` as a JSON Schema. */
export function notebookArgs(trans: TranslationBundle) {
  return {
    type: 'object',
    properties: {
      path: { type: 'string', description: trans.__('The path of the notebook') },
      browser: {
        type: 'boolean',
        description: trans.__('Whether what is selected in the file browser is meant')
      }
    }
  } as const;
}

/** Make the function that says which paths are meant by a command's arguments. */
export function meantNotebooks(
  notebooks: INotebookTracker | null,
  browsers: IFileBrowserFactory | null
): (args: NotebookArgs) => string[] {
  return args => {
    if (typeof args.path === 'string') {
      return [args.path];
    }
    if (args.browser === true) {
      const items = browsers?.tracker.currentWidget?.selectedItems() ?? [];
      return [...items].filter(item => item.type === 'notebook').map(item => item.path);
    }
    const path = notebooks?.currentWidget?.context.path;
    return path === undefined ? [] : [path];
  };
}

/** What is on disk is what runs: the notebook at a local path is saved first where it is open and has changes. */
export async function saveOpen(
  notebooks: INotebookTracker | null,
  contents: Contents.IManager,
  local: string
): Promise<void> {
  const open = notebooks?.find(panel => contents.localPath(panel.context.path) === local);
  if (open === undefined) {
    return;
  }
  const { context } = open;
  await context.ready;
  const { model } = context;
  if (!model.readOnly && (model.dirty || model.collaborative)) {
    await context.save();
  }
}
