import type { RunJSON } from '../api/schema';
import { isClosed } from './states';
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

/** How far a notebook's run is that goes on: the cell, and what it has printed last; an empty text for any other. */
export function runStep(run: RunJSON): string {
  const step = run.source.step as { number?: unknown; of?: unknown; line?: unknown } | undefined;
  if (isClosed(run.state) || typeof step?.number !== 'number' || typeof step.of !== 'number') {
    return '';
  }
  const line = typeof step.line === 'string' ? plain(step.line) : '';
  return [`cell ${step.number} of ${step.of}`, line].filter(text => text !== '').join(' · ');
}
