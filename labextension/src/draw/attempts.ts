/** `2/4` where a run may be tried more than once; `3` where it was tried again by hand; else an empty text. */
export function attemptsText(run: { attempt: number; max_attempts: number }): string {
  if (run.max_attempts > 1) {
    return `${run.attempt}/${Math.max(run.attempt, run.max_attempts)}`;
  }
  return run.attempt > 1 ? String(run.attempt) : '';
}
