import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';
import { AutomationList } from '../src/components/AutomationList';
import type { AutomationsView } from '../src/model/automations';
import { aDelivery, anAutomation, MARKUP } from './fixtures';

let done: string[];

const actions = {
  setEnabled: (id: string, enabled: boolean) => done.push(`enabled ${id} ${String(enabled)}`),
  test: (id: string) => done.push(`test ${id}`),
  dismissTest: (id: string) => done.push(`dismiss ${id}`),
  remove: (id: string) => done.push(`remove ${id}`)
};
const one = { automation: anAutomation('a'), trouble: null };

function show(changes: Partial<AutomationsView> = {}): HTMLElement {
  const view: AutomationsView = {
    items: [one],
    problem: null,
    busy: new Set(),
    testing: new Set(),
    tested: new Map(),
    ...changes
  };
  const { container } = render(
    <AutomationList view={view} actions={actions} onDismiss={() => done.push('dismiss')} />
  );
  return container;
}

const button = (name: string): HTMLButtonElement => screen.getByRole('button', { name });

beforeEach(() => {
  done = [];
});

afterEach(cleanup);

describe('the section "Automations"', () => {
  it('is there only where there are any', () => {
    expect(show({ items: [], problem: 'the disk is full' }).childElementCount).toBe(0);
  });

  it('says what each does, and offers what can be done', () => {
    show();
    const row = screen.getByRole('listitem', { name: 'name-a' });
    expect(row.textContent).toContain('When a run fails: notify in JupyterLab');
    const toggle = screen.getByRole('switch', { name: 'name-a: acts' });
    expect(toggle.getAttribute('aria-checked')).toBe('true');
    fireEvent.click(toggle);
    fireEvent.click(button('Test name-a'));
    fireEvent.click(button('Delete name-a'));
    expect(done).toEqual(['enabled a false', 'test a', 'remove a']);
  });

  it('shows that a test is under way', () => {
    show({ testing: new Set(['a']) });
    const test = button('Test name-a');
    expect([test.textContent, test.disabled]).toEqual(['Testing…', true]);
    expect(test.getAttribute('aria-busy')).toBe('true');
  });

  it('says of each action what came of its test, until it is dismissed', () => {
    const automation = anAutomation('a', {
      actions: [
        { id: 'one', type: 'send-notification' },
        { id: 'two', type: 'call-webhook', url: 'https://***' }
      ]
    });
    const tested = {
      ok: false,
      problem: null,
      actions: [
        { id: 'one', type: 'send-notification', ok: true, message: 'shown in JupyterLab' },
        { id: 'two', type: 'call-webhook', ok: false, message: 'it answered 500' }
      ]
    };
    show({ items: [{ automation, trouble: null }], tested: new Map([['a', tested]]) });
    const lines = [...screen.getByRole('status').querySelectorAll('li')];
    expect(lines.map(line => line.textContent)).toEqual([
      'Worked: notify in JupyterLab – shown in JupyterLab',
      'Failed: call https://*** – it answered 500'
    ]);
    fireEvent.click(button('Dismiss what came of the test'));
    expect(done).toEqual(['dismiss a']);
  });

  it('says why there was no test, what was not delivered, and what was refused', () => {
    const tested = { ok: false, actions: [], problem: 'no answer' };
    show({
      items: [{ ...one, trouble: aDelivery() }],
      problem: 'not you',
      tested: new Map([['a', tested]])
    });
    expect(screen.getByRole('status').textContent).toContain('no answer');
    expect(screen.getByRole('listitem', { name: 'name-a' }).textContent).toContain(
      'The last delivery failed: it answered 500'
    );
    expect(screen.getByRole('alert').textContent).toContain('not you');
  });

  it('shows everything as text', () => {
    const automation = anAutomation('a', { name: MARKUP, when: [MARKUP], description: MARKUP });
    const actionsOf = [{ id: 'x', type: MARKUP, ok: true, message: MARKUP }];
    const tested = { ok: true, actions: actionsOf, problem: MARKUP };
    const trouble = aDelivery({ error: MARKUP });
    const shown = show({ items: [{ automation, trouble }], tested: new Map([['a', tested]]) });
    expect(shown.querySelectorAll('img, b')).toHaveLength(0);
    expect(shown.textContent).toContain('<img src=x');
  });
});
