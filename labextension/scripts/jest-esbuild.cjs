// Lets jest read TypeScript and the ES modules of JupyterLab's packages, by esbuild: no type checks (tsc does them).
const { createHash } = require('node:crypto');
const { transformSync, version } = require('esbuild');

const LOADERS = { '.ts': 'ts', '.tsx': 'tsx', '.js': 'js', '.mjs': 'js', '.svg': 'text' };

module.exports = {
  getCacheKey: (source, path) =>
    createHash('sha1').update(`${version}\0${path}\0${source}`).digest('hex'),
  process(source, path) {
    const loader = LOADERS[/\.[a-z]+$/.exec(path)?.[0]] ?? 'js';
    return transformSync(source, {
      loader,
      format: 'cjs',
      target: 'node20',
      sourcefile: path,
      sourcemap: 'inline',
      jsx: 'transform'
    });
  }
};
