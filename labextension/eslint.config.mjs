import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import hooks from 'eslint-plugin-react-hooks';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/** The layers, lowest first; a folder may import itself and what stands before it. */
const LAYERS = ['api', 'model', 'draw', 'components', 'pages', 'plugins'];

/** A rule that keeps `folder` from importing the folders named. */
function without(folder, forbidden) {
  return {
    files: [`src/${folder}/**`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: forbidden.map(name => ({
            group: [`**/${name}/*`, `**/${name}`],
            message: `${folder}/ stands below or beside ${name}/: imports go down only.`
          }))
        }
      ]
    }
  };
}

export default tseslint.config(
  { ignores: ['lib', 'node_modules', 'coverage', 'src/api/schema.ts'] },
  js.configs.recommended,
  tseslint.configs.recommended,
  { plugins: { jupyter } },
  jupyter.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    plugins: { 'react-hooks': hooks },
    languageOptions: {
      globals: globals.browser,
      parserOptions: { project: 'tsconfig.test.json', sourceType: 'module' }
    },
    rules: {
      ...hooks.configs.recommended.rules,
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      // The drawings are shared with the notebook widget, which also lives where there is no translator.
      'jupyter/no-untranslated-string': 'off',
      // The whole bundle is smaller than one of JupyterLab's icons sheets: one request is quicker than two.
      'jupyter/prefer-lazy-imports': 'off',
      curly: ['error', 'all'],
      eqeqeq: 'error',
      'max-lines': ['error', 400],
      'prefer-arrow-callback': 'error',
      // Text from runs is text: nothing here may become markup.
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment)$/]',
          message: 'Set text, not markup: textContent, or elements.'
        },
        {
          selector: 'JSXAttribute[name.name="dangerouslySetInnerHTML"]',
          message: 'Set text, not markup.'
        }
      ]
    }
  },
  ...LAYERS.map((folder, index) => without(folder, [...LAYERS.slice(index + 1), 'widget'])),
  without('widget', ['components', 'pages', 'plugins']),
  {
    // Only api/ talks to the network.
    files: ['src/**'],
    ignores: ['src/api/**'],
    rules: {
      'no-restricted-globals': ['error', 'fetch', 'WebSocket', 'XMLHttpRequest', 'EventSource']
    }
  },
  {
    files: ['scripts/**', '*.cjs', '*.mjs', 'tests/**'],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
    rules: { 'jupyter/command-described-by': 'off' }
  },
  {
    files: ['**/*.cjs'],
    rules: { '@typescript-eslint/no-require-imports': 'off' }
  },
  prettier
);
