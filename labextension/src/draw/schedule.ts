import type { DeploymentJSON } from '../api/schema';
import { plain } from './text';
import { formatMoment, formatRelative } from './time';

/** What a deployment's schedules say, in words. */
export function scheduleWords(deployment: DeploymentJSON): string {
  const active = deployment.schedules.filter(schedule => schedule.active);
  if (deployment.schedules.length === 0) {
    return 'By hand';
  }
  return active.length === 0
    ? 'All its schedules are switched off'
    : active.map(schedule => plain(schedule.words)).join('; ');
}

/** When the next run is: near times as a length of time, with the exact one for the tooltip. */
export function nextRun(
  deployment: DeploymentJSON,
  now: number
): { text: string; exact: string; at: string | null } {
  const { next_slot: at } = deployment;
  if (deployment.paused) {
    return { text: 'paused', exact: '', at: null };
  }
  if (at === null) {
    return { text: deployment.schedules.length === 0 ? '' : 'no more runs', exact: '', at: null };
  }
  const soon = Date.parse(at) - now < 5000;
  return { text: soon ? 'due now' : formatRelative(at, now), exact: formatMoment(at), at };
}
