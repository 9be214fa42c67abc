// Bundles the notebook widget (plain DOM, no framework) into one ES module and one style sheet for anywidget.
import { build } from 'esbuild';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

await build({
  absWorkingDir: root,
  entryPoints: { run_view: 'src/widget/run_view.ts' },
  outdir: join(root, '..', 'jupyter_wf', 'ipython', 'static'),
  bundle: true,
  format: 'esm',
  target: 'es2020',
  charset: 'utf8',
  minify: true,
  legalComments: 'none',
  logLevel: 'info'
});
