import { runStep } from '../src/draw/names';
import { aRun } from './fixtures';

function running(step: unknown): ReturnType<typeof aRun> {
  return aRun('a', { source: { step } });
}

describe('how far a run is', () => {
  it('is said of a notebook that runs', () => {
    expect(runStep(running({ number: 7, of: 20, cell: 8 }))).toBe('cell 7 of 20');
  });

  it('has the line that was printed last, without what acts on a terminal', () => {
    const step = { number: 7, of: 20, cell: 8, line: 'epoch 3\u001b[0m of 9' };
    expect(runStep(running(step))).toMatch(/^cell 7 of 20 · epoch 3.* of 9$/);
    expect(runStep(running(step))).not.toContain('\u001b');
  });

  it('is not said of one that has ended, nor where nobody knows', () => {
    const ended = aRun('a', { source: { step: { number: 20, of: 20 } } }, 'COMPLETED');
    expect(runStep(ended)).toBe('');
    expect(runStep(running(undefined))).toBe('');
    expect(runStep(running({ number: 'x' }))).toBe('');
  });
});
