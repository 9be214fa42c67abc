// Packages that ship ES modules only: jest reads them through esbuild, as it does our own sources.
const MODULES = [
  '@jupyter',
  '@jupyterlab',
  '@jupyterlab/.*',
  '@lumino',
  '@microsoft',
  '@codemirror',
  'exenv-es6',
  'lib0',
  'nanoid',
  'vscode-ws-jsonrpc',
  'y-protocols',
  'y-websocket',
  'yjs'
];

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'jsdom',
  testMatch: ['<rootDir>/tests/**/*.test.{ts,tsx}'],
  setupFiles: ['<rootDir>/tests/setup.ts'],
  moduleFileExtensions: ['ts', 'tsx', 'js', 'mjs', 'json'],
  moduleNameMapper: {
    '\\.css$': '<rootDir>/tests/empty.ts',
    // Of these only the tokens are used; the whole packages take many seconds to load.
    '^@jupyterlab/(filebrowser|notebook|docmanager)$':
      '<rootDir>/node_modules/@jupyterlab/$1/lib/tokens.js'
  },
  transform: { '\\.(ts|tsx|js|mjs|svg)$': '<rootDir>/scripts/jest-esbuild.cjs' },
  transformIgnorePatterns: [`/node_modules/(?!(${MODULES.join('|')})/)`],
  restoreMocks: true,
  coverageDirectory: 'coverage',
  collectCoverageFrom: ['src/**/*.{ts,tsx}', '!src/**/*.d.ts']
};
