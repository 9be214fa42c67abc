import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';
import { DeploymentList } from '../src/components/DeploymentList';
import { drawBadge } from '../src/draw/badge';
import { nextRun, scheduleWords } from '../src/draw/schedule';
import type { DeploymentsView } from '../src/model/deployments';
import { aDeployment, aDeploymentsRun, aRun, aSchedule, at, MARKUP } from './fixtures';

let done: string[];

const actions = {
  openRun: (id: string) => done.push(`open ${id}`),
  setPaused: (id: string, paused: boolean) => done.push(`pause ${id} ${String(paused)}`),
  run: (id: string, ask: boolean) => done.push(`run ${id} ${String(ask)}`),
  edit: (id: string) => done.push(`edit ${id}`),
  remove: (id: string) => done.push(`remove ${id}`)
};

function show(changes: Partial<DeploymentsView>, onSchedule: (() => void) | null = null): void {
  const view: DeploymentsView = {
    phase: 'ready',
    items: [],
    problem: null,
    agents: 1,
    scheduler: true,
    busy: new Set(),
    ...changes
  };
  render(
    <DeploymentList
      view={view}
      actions={actions}
      onSchedule={onSchedule}
      onDismiss={() => done.push('dismiss')}
    />
  );
}

const state = (type: string, name: string) => ({ type, name, message: null, at: at(1) });

beforeEach(() => {
  done = [];
  jest.useFakeTimers({ now: Date.parse(at(0)) });
});

afterEach(() => {
  cleanup();
  jest.useRealTimers();
});

describe('the section "Scheduled"', () => {
  it('shows name, words, next run, and the last runs, the newest at the right', () => {
    const runs = [
      aDeploymentsRun('c', 'd', 'RUNNING', 3),
      aDeploymentsRun('b', 'd', 'FAILED', 2),
      aRun('a', { state: state('CANCELLED', 'Missed') })
    ];
    show({ items: [aDeployment('d', {}, runs)] });
    const row = screen.getByRole('listitem', { name: 'name-d' });
    expect(row.textContent).toContain('At 06:00');
    const time = row.querySelector('time');
    expect(time?.textContent).toBe('in 1 h 00 min');
    expect(time?.title).toMatch(/^2026-01-3\d \d\d:\d\d:\d\d$/);
    const marks = within(row.querySelector('.jp-WfMarks') as HTMLElement).getAllByRole('button');
    expect(marks.map(mark => mark.dataset.runId)).toEqual(['a', 'b', 'c']);
    expect(marks.map(mark => mark.getAttribute('aria-label'))).toEqual([
      expect.stringMatching(/^Missed, /),
      expect.stringMatching(/^Failed, /),
      expect.stringMatching(/^Running, /)
    ]);
    fireEvent.click(marks[1]);
    expect(done).toEqual(['open b']);
  });

  it('offers what can be done, by button and by name', () => {
    show({ items: [aDeployment('d')] });
    for (const name of [
      'Run name-d now',
      'Run name-d now with other parameters',
      'Change name-d',
      'Delete name-d'
    ]) {
      fireEvent.click(screen.getByRole('button', { name }));
    }
    const toggle = screen.getByRole('switch', { name: 'name-d: runs by schedule' });
    expect(toggle.getAttribute('aria-checked')).toBe('true');
    fireEvent.click(toggle);
    expect(done).toEqual(['run d false', 'run d true', 'edit d', 'remove d', 'pause d true']);
  });

  it('says why one is paused, and keeps hands off while the server is asked', () => {
    const paused = { paused: true, paused_reason: '3 failures in a row', next_slot: null };
    show({ items: [aDeployment('d', paused)], busy: new Set(['d']) });
    expect(document.body.textContent).toContain('3 failures in a row');
    expect(document.querySelector('time')?.textContent).toBe('paused');
    const run = screen.getByRole('button', { name: 'Run name-d now' });
    expect((run as HTMLButtonElement).disabled).toBe(true);
    fireEvent.click(screen.getByRole('switch'));
    expect(done).toEqual(['pause d false']);
  });

  it('says what is missing for schedules to be kept', () => {
    const items = [aDeployment('d')];
    show({ items, agents: 0 });
    expect(screen.getByRole('status').textContent).toContain('no agent');
    cleanup();
    show({ items, scheduler: false });
    expect(screen.getByRole('status').textContent).toContain('no scheduler');
    cleanup();
    show({ items, agents: 0, scheduler: false });
    expect(screen.getByRole('status').textContent).toContain('neither');
    cleanup();
    show({ items });
    expect(screen.queryByRole('status')).toBeNull();
  });

  it('says how to begin where there is none', () => {
    show({}, () => done.push('schedule'));
    fireEvent.click(screen.getByText('schedule the open notebook…'));
    expect(done).toEqual(['schedule']);
    cleanup();
    show({ agents: 0 });
    expect(document.body.textContent).toContain('No scheduled notebooks: open a notebook');
    expect(screen.queryByRole('status')).toBeNull();
  });

  it('shows a refusal until it is dismissed, and everything as text', () => {
    show({ items: [aDeployment('d', { name: MARKUP })], problem: MARKUP });
    expect(document.querySelectorAll('img, b')).toHaveLength(0);
    fireEvent.click(screen.getByText('Dismiss'));
    expect(done).toEqual(['dismiss']);
  });
});

describe('a deployment in words', () => {
  it('names its active schedules', () => {
    const schedules = [
      aSchedule(),
      aSchedule({ words: 'At 18:00' }),
      aSchedule({ words: 'never', active: false })
    ];
    expect(scheduleWords(aDeployment('d', { schedules }).deployment)).toBe('At 06:00; At 18:00');
    expect(scheduleWords(aDeployment('d', { schedules: [] }).deployment)).toBe('By hand');
    const off = [aSchedule({ active: false })];
    expect(scheduleWords(aDeployment('d', { schedules: off }).deployment)).toContain('off');
  });

  it('tells when it runs next', () => {
    const now = Date.parse(at(3600));
    const text = (changes: object): string =>
      nextRun(aDeployment('d', changes).deployment, now).text;
    expect(text({})).toBe('due now');
    expect(text({ next_slot: null })).toBe('no more runs');
    expect(text({ next_slot: null, schedules: [] })).toBe('');
    expect(text({ paused: true })).toBe('paused');
  });
});

describe('the states of schedules', () => {
  it.each([
    ['SCHEDULED', 'Late', 'LATE'],
    ['CANCELLED', 'Missed', 'MISSED'],
    ['CANCELLED', 'Skipped', 'SKIPPED'],
    ['CANCELLED', 'Cancelled', 'CANCELLED'],
    ['SCHEDULED', 'AwaitingRetry', 'SCHEDULED']
  ])('%s %s has the mark %s', (type, name, mark) => {
    const badge = drawBadge();
    badge.update(state(type, name));
    expect(badge.element.dataset.state).toBe(type);
    expect(badge.element.dataset.mark).toBe(mark);
    expect(badge.element.querySelector('svg')?.getAttribute('data-state')).toBe(mark);
  });
});
