import { fireEvent } from '@testing-library/dom';
import { drawGraph } from '../src/draw/graph/graph';
import type { TreeRow } from '../src/draw/tree';
import { calls, runSpan, someRoot, someState, someTree, T0, treeRow, withRow } from './trees';

const NOW = T0 + 8000;

const flow = (id: string, changes: Partial<TreeRow> = {}): TreeRow =>
  treeRow(id, { kind: 'flow', taskName: null, ...changes });

describe('the graph', () => {
  const diamond = someTree([
    treeRow('load', { spans: [runSpan(0, 3.2)] }),
    treeRow('left', { upstream: ['load'] }),
    treeRow('right', {
      upstream: ['load'],
      state: someState('RUNNING'),
      spans: [runSpan(3, null)]
    }),
    treeRow('join', { upstream: ['left', 'right'], state: someState('PENDING'), spans: [] }),
    treeRow('other')
  ]);

  function drawn(tree = diamond, selected: string | null = null) {
    const onSelect = jest.fn();
    const graph = drawGraph(onSelect);
    document.body.replaceChildren(graph.element);
    graph.update({ tree, selected, now: NOW });
    const node = (key: string) =>
      graph.element.querySelector<HTMLElement>(`.wf-Node[data-key="${key}"]`)!;
    const scene = graph.element.querySelector<HTMLElement>('.wf-Graph-scene')!;
    const view = graph.element.querySelector<HTMLElement>('.wf-Graph-view')!;
    return { graph, onSelect, node, scene, view };
  }

  const label = (element: Element) => element.getAttribute('aria-label');

  it('tells each node in words', () => {
    const { node, view } = drawn();
    expect(label(node('load'))).toBe('load, completed, 3.2 s, 2 downstream');
    expect(label(node('right'))).toBe('right, running, 5 s, 1 upstream, 1 downstream');
    expect(label(node('join'))).toBe('join, pending, 2 upstream, 0 downstream');
    expect(label(view)).toBe('Graph: 5 nodes, 4 edges');
    expect(view.getAttribute('role')).toBe('tree');
    expect(document.getElementById(view.getAttribute('aria-describedby')!)?.textContent).toMatch(
      /arrow keys/
    );
  });

  it('says more than by colour: an icon and words for each state', () => {
    const { node } = drawn(
      someTree([
        treeRow('bad', { state: someState('FAILED') }),
        treeRow('good'),
        ...calls('load', 5, at => ({ state: someState(at < 2 ? 'FAILED' : 'COMPLETED') }))
      ])
    );
    const icon = (key: string) => node(key).querySelector('.wf-StateIcon path')!.getAttribute('d');
    expect(icon('bad')).not.toBe(icon('good'));
    expect(node('bad').querySelector('.wf-Node-state')!.textContent).toBe('Failed');
    const group = node('group:root:load');
    expect(group.querySelector('.wf-Node-name')!.textContent).toBe('load × 5');
    expect(group.querySelector('.wf-Node-state')!.textContent).toBe('5/5, 2 failed');
    expect(label(group)).toContain('2 failed, 3 completed');
  });

  it('shows names as text', () => {
    const name = '<img src=x onerror=alert(1)>\u202e';
    const { node, graph } = drawn(someTree([treeRow('x', { name })]));
    expect(graph.element.querySelector('img')).toBeNull();
    expect(node('x').querySelector('.wf-Node-name')!.textContent).toContain('<img');
    expect(node('x').title).toContain('\\u202e');
  });

  it('changes what is there, and lays out anew only with another structure', () => {
    const { graph, node, scene } = drawn();
    const before = [...scene.children];
    const path = scene.querySelector('.wf-Edge')!;
    const left = node('right').style.left;
    const done = withRow(diamond, 'right', {
      state: someState('COMPLETED'),
      spans: [runSpan(3, 4)]
    });
    graph.update({ tree: done, selected: null, now: NOW });
    expect([...scene.children]).toEqual(before);
    expect(scene.querySelector('.wf-Edge')).toBe(path);
    expect(node('right').dataset.state).toBe('COMPLETED');
    expect(node('right').style.left).toBe(left);
    const element = node('load');
    const grown = someTree([...done.rows, treeRow('end', { upstream: ['join'] })]);
    graph.update({ tree: grown, selected: null, now: NOW });
    expect(node('end')).not.toBeNull();
    expect(node('load')).toBe(element);
    graph.update({ tree: someTree(diamond.rows.slice(0, 2)), selected: null, now: NOW });
    expect(scene.querySelectorAll('.wf-Node')).toHaveLength(2);
    expect(scene.querySelectorAll('.wf-Edge')).toHaveLength(1);
  });

  it('lets the clock of what runs go on', () => {
    const { graph, node } = drawn();
    graph.update({ tree: diamond, selected: null, now: NOW + 60_000 });
    expect(label(node('right'))).toContain('1 min 05 s');
  });

  it('marks what the selected one needs and what needs it', () => {
    const { graph, node } = drawn(diamond, 'left');
    const marks = ['load', 'left', 'right', 'join', 'other'].map(key => node(key).dataset.mark);
    expect(marks).toEqual(['before', 'self', 'other', 'after', 'other']);
    expect(node('left').getAttribute('aria-selected')).toBe('true');
    const edges = [...graph.element.querySelectorAll<SVGElement>('.wf-Edge')];
    expect(edges.map(edge => edge.dataset.mark).sort()).toEqual([
      'after',
      'before',
      'other',
      'other'
    ]);
    graph.update({ tree: diamond, selected: null, now: NOW });
    expect(node('load').dataset.mark).toBeUndefined();
  });

  it('selects with a click or Enter, and nothing with a click beside or Escape', () => {
    const { graph, onSelect, node, view } = drawn();
    fireEvent.click(node('left'));
    expect(onSelect).toHaveBeenLastCalledWith('left');
    graph.update({ tree: diamond, selected: 'left', now: NOW });
    fireEvent.click(view);
    expect(onSelect).toHaveBeenLastCalledWith(null);
    fireEvent.keyDown(node('join'), { key: 'Enter' });
    expect(onSelect).toHaveBeenLastCalledWith('join');
    fireEvent.keyDown(node('join'), { key: 'Escape' });
    expect(onSelect).toHaveBeenLastCalledWith(null);
    expect(onSelect).toHaveBeenCalledTimes(4);
  });

  it('walks from node to node with the arrow keys, one of them being reached with Tab', () => {
    const { graph, node, view } = drawn();
    const reachable = () =>
      [...graph.element.querySelectorAll<HTMLElement>('.wf-Node[tabindex="0"]')].map(
        element => element.dataset.key
      );
    expect(reachable()).toEqual(['load']);
    view.focus();
    fireEvent.keyDown(view, { key: 'Enter' });
    expect(document.activeElement).toBe(node('load'));
    fireEvent.keyDown(node('load'), { key: 'ArrowRight' });
    expect(['left', 'right']).toContain((document.activeElement as HTMLElement).dataset.key);
    fireEvent.keyDown(document.activeElement!, { key: 'ArrowRight' });
    expect(document.activeElement).toBe(node('join'));
    expect(reachable()).toEqual(['join']);
    fireEvent.keyDown(node('join'), { key: 'ArrowRight' });
    expect(document.activeElement).toBe(node('join'));
    fireEvent.keyDown(node('join'), { key: 'Home' });
    expect(document.activeElement).toBe(node('load'));
  });

  it('pans and zooms by keys, wheel and buttons, and stays there over updates', () => {
    const { graph, scene, view } = drawn();
    const fitted = scene.style.transform;
    const seen = new Set([fitted]);
    const moved = (act: () => void) => {
      act();
      expect(seen.has(scene.style.transform)).toBe(false);
      seen.add(scene.style.transform);
    };
    moved(() => fireEvent.keyDown(view, { key: 'ArrowLeft' }));
    moved(() => fireEvent.keyDown(view, { key: '-' }));
    moved(() => fireEvent.wheel(view, { ctrlKey: true, deltaY: -120 }));
    moved(() => fireEvent.click(graph.element.querySelector('[data-tool="in"]')!));
    const { transform } = scene.style;
    fireEvent.wheel(view, { deltaY: 50 });
    graph.update({
      tree: someTree([...diamond.rows, treeRow('end', { upstream: ['join'] })]),
      selected: null,
      now: NOW
    });
    expect(scene.style.transform).toBe(transform);
    graph.update({ tree: diamond, selected: null, now: NOW });
    fireEvent.keyDown(view, { key: 'f' });
    expect(scene.style.transform).toBe(fitted);
    expect(fireEvent.keyDown(view, { key: '+' })).toBe(false);
    expect(fireEvent.keyDown(view, { key: '+', ctrlKey: true })).toBe(true);
    expect(fireEvent.keyDown(view, { key: 'q' })).toBe(true);
  });

  it('shows everything, however small, once it was asked to', () => {
    const chain = (count: number) =>
      someTree(
        Array.from({ length: count }, (_, at) =>
          treeRow(`s${at}`, { upstream: at > 0 ? [`s${at - 1}`] : [] })
        )
      );
    const { graph, scene } = drawn(chain(40));
    const scale = () => Number(/scale\((.*)\)/.exec(scene.style.transform)![1]);
    const legible = scale();
    fireEvent.click(graph.element.querySelector('[data-tool="fit"]')!);
    const whole = scale();
    expect(whole).toBeLessThan(legible);
    graph.update({ tree: chain(50), selected: null, now: NOW });
    expect(scale()).toBeLessThan(whole);
  });

  it('opens and closes boxes and groups', () => {
    const tree = someTree([
      flow('train'),
      treeRow('fit', { parentId: 'train' }),
      ...calls('load', 5)
    ]);
    const { node, onSelect } = drawn(tree);
    expect(node('train').getAttribute('aria-expanded')).toBe('true');
    expect(node('fit').getAttribute('aria-level')).toBe('2');
    fireEvent.keyDown(node('train'), { key: ' ' });
    expect(node('train').getAttribute('aria-expanded')).toBe('false');
    expect(node('fit')).toBeNull();
    fireEvent.click(node('group:root:load').querySelector('.wf-Node-twisty')!);
    expect(node('load-3')).not.toBeNull();
    expect(onSelect).not.toHaveBeenCalled();
    fireEvent.click(node('group:root:load'));
    expect(onSelect).toHaveBeenLastCalledWith('group:root:load');
  });

  it('says so where there is nothing to draw, and takes another run', () => {
    const { graph, node } = drawn(someTree([]));
    const empty = graph.element.querySelector<HTMLElement>('.wf-Empty')!;
    expect(empty.hidden).toBe(false);
    const other = { ...someRoot, id: 'other' };
    graph.update({
      tree: someTree([treeRow('a', { parentId: 'other' })], other),
      selected: null,
      now: NOW
    });
    expect(empty.hidden).toBe(true);
    expect(node('a')).not.toBeNull();
  });

  it('says where to see what it has no room for, and counts only where there is something to count', () => {
    const { graph } = drawn(
      someTree(Array.from({ length: 3000 }, (_, at) => treeRow(`t${at}`, { taskName: `t${at}` })))
    );
    const more = graph.element.querySelector<HTMLElement>('.wf-Node[data-kind="more"]')!;
    expect(more.querySelector('.wf-Node-name')!.textContent).toBe('… 2,801 more: see Tasks');
    expect(label(more)).toContain('2,801 more that the graph has no room for, 2801 completed');
    expect(more.title).toContain('the tab Tasks lists them');
    expect(graph.element.querySelectorAll('.wf-Progress')).toHaveLength(1);
    expect(graph.element.querySelectorAll('*').length).toBeLessThan(2500);
  });

  it('draws 10,000 calls as one node', () => {
    const { scene } = drawn(someTree(calls('load', 10_000)));
    expect(scene.querySelectorAll('.wf-Node')).toHaveLength(1);
  });

  it('leaves no ear behind', () => {
    const { graph, onSelect, node, view, scene } = drawn();
    graph.dispose();
    const { transform } = scene.style;
    fireEvent.click(node('load'));
    fireEvent.keyDown(view, { key: '+' });
    fireEvent.wheel(view, { ctrlKey: true, deltaY: -120 });
    expect(onSelect).not.toHaveBeenCalled();
    expect(scene.style.transform).toBe(transform);
  });
});
