import type { SpansJSON } from '../api/tree';
import type { Span } from './treeRows';

/** Four items of the flat list are one span. */
export function readSpans(flat: SpansJSON): Span[] {
  const spans: Span[] = [];
  for (let at = 0; at + 3 < flat.length; at += 4) {
    spans.push({
      kind: flat[at] as Span['kind'],
      attempt: flat[at + 1] as number,
      from: flat[at + 2] as number,
      to: flat[at + 3] as number | null
    });
  }
  return spans;
}

const KINDS: Record<string, Span['kind']> = {
  SCHEDULED: 'wait',
  PENDING: 'wait',
  RUNNING: 'run',
  CANCELLING: 'run',
  PAUSED: 'pause'
};

/** What a run in this state does; null where nothing more happens in this attempt. */
export function spanKind(state: { type: string; name: string }): Span['kind'] | null {
  return state.name === 'NotReady' ? null : (KINDS[state.type] ?? null);
}

/**
 * The spans after a run has entered a state (`at` in ms). What is older than the last span is known already, and the
 * same state again changes nothing: then the same spans come back.
 */
export function enter(
  spans: readonly Span[],
  state: { type: string; name: string },
  attempt: number,
  at: number
): readonly Span[] {
  const last = spans.length > 0 ? spans[spans.length - 1] : null;
  const kind = spanKind(state);
  if (last !== null) {
    const same = last.to === null && kind === last.kind && attempt === last.attempt;
    const nothing = last.to !== null && kind === null;
    if (same || nothing || at < (last.to ?? last.from)) {
      return spans;
    }
  }
  const before =
    last !== null && last.to === null
      ? [...spans.slice(0, -1), { ...last, to: Math.max(at, last.from) }]
      : [...spans];
  return kind === null ? before : [...before, { kind, attempt, from: at, to: null }];
}
