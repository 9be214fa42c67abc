import type { RunJSON } from '../api/schema';

/** The choices of the list's state filter, each with the types of state that it keeps (none: all). */
export const STATE_CHOICES = [
  { id: 'all', label: 'All', states: [] },
  {
    id: 'active',
    label: 'Active',
    states: ['SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING']
  },
  { id: 'completed', label: 'Completed', states: ['COMPLETED'] },
  { id: 'failed', label: 'Failed', states: ['FAILED', 'CRASHED'] },
  { id: 'cancelled', label: 'Cancelled', states: ['CANCELLED'] }
] as const;

export type StateChoice = (typeof STATE_CHOICES)[number]['id'];

/** What the list is narrowed to. */
export interface RunFilter {
  readonly choice: StateChoice;
  readonly text: string;
}

export const NO_FILTER: RunFilter = { choice: 'all', text: '' };

/** The types of state that a choice keeps; an empty list keeps all. */
export function statesOf(choice: StateChoice): readonly string[] {
  return STATE_CHOICES.find(item => item.id === choice)?.states ?? [];
}

/** Whether a run passes, by the server's own rule: state type, and the text within one of the names. */
export function passes(run: RunJSON, filter: RunFilter): boolean {
  const states = statesOf(filter.choice);
  if (states.length > 0 && !states.includes(run.state.type)) {
    return false;
  }
  const text = filter.text.trim().toLowerCase();
  return (
    text === '' ||
    [run.name, run.flow_name, run.task_name].some(name => name?.toLowerCase().includes(text))
  );
}
