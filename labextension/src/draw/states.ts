import type { StateJSON } from '../api/schema';

/** What tells a state from others; a drawing's rows have no more of it. */
export type StateWords = Pick<StateJSON, 'type' | 'name'>;

/** The nine types of state, in the order in which a progress bar stacks them. */
export const STATE_TYPES = [
  'COMPLETED',
  'FAILED',
  'CRASHED',
  'CANCELLED',
  'CANCELLING',
  'RUNNING',
  'PAUSED',
  'PENDING',
  'SCHEDULED'
] as const;

export type StateType = (typeof STATE_TYPES)[number];

const TERMINAL: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED']);
const UNSUCCESSFUL: ReadonlySet<string> = new Set(['FAILED', 'CRASHED']);

/** Whether nothing more will happen in this attempt (`NotReady` stays PENDING for good). */
export function isClosed(state: StateWords): boolean {
  return TERMINAL.has(state.type) || state.name === 'NotReady';
}

/** Whether the state is FAILED or CRASHED. */
export function isFailure(state: StateWords): boolean {
  return UNSUCCESSFUL.has(state.type);
}

/** Whether a request to cancel makes sense: the run is open and not being cancelled already. */
export function isCancellable(state: StateWords): boolean {
  return !isClosed(state) && state.type !== 'CANCELLING';
}

/** Whether the state's name says no more than its type, which the icon shows. */
export function isUsual(state: StateWords): boolean {
  return state.name.toUpperCase() === state.type;
}

/** Names that are drawn unlike the others of their type: what a schedule did not get, and what waits too long. */
const MARKS: Record<string, string> = {
  'SCHEDULED Late': 'LATE',
  'CANCELLED Missed': 'MISSED',
  'CANCELLED Skipped': 'SKIPPED'
};

/** Which mark stands for a state: its type's, or one of its own. */
export function stateMark(state: StateWords): string {
  return MARKS[`${state.type} ${state.name}`] ?? state.type;
}

/** `AwaitingRetry` → `Awaiting retry`: the words shown to people. */
export function stateLabel(state: StateWords): string {
  const words = (state.name || state.type).replace(/([a-z])([A-Z])/g, '$1 $2').split(' ');
  return words
    .map((word, index) => (index === 0 || word.length < 2 ? word : word.toLowerCase()))
    .join(' ');
}

/** `COMPLETED` → `completed`. */
export function typeLabel(type: string): string {
  return type.toLowerCase();
}
