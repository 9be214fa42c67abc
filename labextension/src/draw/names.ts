import type { RunJSON } from '../api/schema';
import { plain } from './text';

/** What a run is a run of: its flow's, notebook's or task's name. */
export function runTitle(run: RunJSON): string {
  if (run.kind === 'task') {
    return plain(run.task_name || run.name);
  }
  const { notebook } = run.source;
  const file = typeof notebook === 'string' ? (notebook.split('/').pop() ?? '') : '';
  return plain(run.flow_name || file || run.name);
}

/** The run's own name, or an empty text where it says nothing new. */
export function runSubtitle(run: RunJSON): string {
  const name = plain(run.name);
  return name === runTitle(run) ? '' : name;
}
