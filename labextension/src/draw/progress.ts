import type { ProgressJSON } from '../api/schema';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { STATE_TYPES, typeLabel } from './states';

/** `3/7`, or an empty text where the number of parts is not known. */
export function progressText(progress: ProgressJSON | null): string {
  return progress && progress.total > 0 ? `${progress.done}/${progress.total}` : '';
}

/** `5 completed, 1 failed, 1 running`, in the order of the stack. */
export function countsText(progress: ProgressJSON): string {
  const parts = STATE_TYPES.filter(type => (progress.counts[type] ?? 0) > 0).map(
    type => `${progress.counts[type]} ${typeLabel(type)}`
  );
  const known = STATE_TYPES.reduce((sum, type) => sum + (progress.counts[type] ?? 0), 0);
  if (progress.total > known) {
    parts.push(`${progress.total - known} to come`);
  }
  return parts.join(', ');
}

/** A stacked bar, one segment per type of state, with `3/7` beside it. It hides itself where there are no parts. */
export function drawProgress(): Drawing<ProgressJSON | null> {
  const element = make('div', 'wf-Progress');
  const track = make('div', 'wf-Progress-track');
  const text = make('span', 'wf-Progress-text');
  track.setAttribute('role', 'progressbar');
  track.setAttribute('aria-valuemin', '0');
  const segments = new Map<string, HTMLElement>();
  for (const type of STATE_TYPES) {
    const segment = make('span', 'wf-Progress-segment');
    segment.dataset.state = type;
    segments.set(type, segment);
    track.append(segment);
  }
  element.append(track, text);
  return {
    element,
    update(progress) {
      element.hidden = !progress || progress.total <= 0;
      if (!progress || element.hidden) {
        return;
      }
      for (const [type, segment] of segments) {
        const count = progress.counts[type] ?? 0;
        segment.style.width = `${Math.min(100, (100 * count) / progress.total)}%`;
        segment.hidden = count === 0;
      }
      const counts = countsText(progress);
      setAttribute(track, 'aria-valuemax', String(progress.total));
      setAttribute(track, 'aria-valuenow', String(progress.done));
      setAttribute(track, 'aria-label', 'Progress');
      setAttribute(track, 'aria-valuetext', `${progressText(progress)}: ${counts}`);
      setAttribute(element, 'title', counts);
      setText(text, progressText(progress));
    }
  };
}
