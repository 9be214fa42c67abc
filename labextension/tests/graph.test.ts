import { Grouping } from '../src/draw/groups';
import { layoutScene, NODE, type Rect, wayPath } from '../src/draw/graph/layout';
import { crossings, orderLayers } from '../src/draw/graph/order';
import { placeLayers, type Size } from '../src/draw/graph/place';
import { type Link, rankNodes } from '../src/draw/graph/rank';
import {
  type Item,
  itemEntry,
  makeScene,
  MOST_IN_LAYER,
  MOST_NODES,
  type Scene
} from '../src/draw/graph/scene';
import type { Tree, TreeRow } from '../src/draw/tree';
import { calls, someState, someTree, treeRow } from './trees';

/** Edges that look random but are the same each time: `count` nodes, each after a few earlier ones. */
function someLinks(count: number, most = 3): Link[] {
  const links: Link[] = [];
  for (let node = 1; node < count; node++) {
    for (let edge = 0; edge < most; edge++) {
      const from = (node * 7919 + edge * 104_729) % (2 * node);
      if (from < node) {
        links.push([from, node]);
      }
    }
  }
  return links;
}

const sizes = (count: number): Size[] => Array.from({ length: count }, () => NODE);

function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function sceneOf(tree: Tree, choices = new Map<string, boolean>()): Scene {
  const grouping = new Grouping();
  grouping.update(tree);
  return makeScene(tree, grouping, choices);
}

const find = (scene: Scene, key: string): Item => scene.items.get(key)!;
const linkNames = (item: Item): string[] =>
  item.links.map(([from, to]) => `${item.children[from].key}>${item.children[to].key}`).sort();

const flow = (id: string, changes: Partial<TreeRow> = {}): TreeRow =>
  treeRow(id, { kind: 'flow', taskName: null, ...changes });

describe('layers', () => {
  it('go by the longest way', () => {
    const { rank } = rankNodes(4, [
      [0, 1],
      [1, 2],
      [0, 2],
      [2, 3]
    ]);
    expect(rank).toEqual([0, 1, 2, 3]);
  });

  it('have what needs nothing right before what needs it', () => {
    const links: Link[] = [
      [0, 1],
      [1, 2],
      [3, 2]
    ];
    expect(rankNodes(4, links).rank[3]).toBe(1);
  });

  it('leave out edges to oneself and second ones, and turn one edge of a circle around', () => {
    const { rank, links, turned } = rankNodes(3, [
      [0, 0],
      [0, 1],
      [0, 1],
      [1, 2],
      [2, 0]
    ]);
    expect(links).toHaveLength(3);
    expect(turned.size).toBe(1);
    links.forEach(([from, to]) => expect(rank[from]).toBeLessThan(rank[to]));
  });

  it('take a chain of 20,000 without running out of stack', () => {
    const links = Array.from({ length: 19_999 }, (_, at): Link => [at, at + 1]);
    expect(rankNodes(20_000, links).rank[19_999]).toBe(19_999);
  });

  it('are ordered so that edges that need not cross do not', () => {
    const { layers, after } = orderLayers(
      rankNodes(6, [
        [0, 5],
        [1, 4],
        [2, 3]
      ])
    );
    expect(crossings(layers, after)).toBe(0);
  });

  it('count crossings', () => {
    expect(
      crossings(
        [
          [0, 1],
          [2, 3]
        ],
        [[3], [2], [], []]
      )
    ).toBe(1);
    expect(
      crossings(
        [
          [0, 1],
          [2, 3]
        ],
        [[2, 3], [2, 3], [], []]
      )
    ).toBe(1);
    expect(
      crossings(
        [
          [0, 1],
          [2, 3]
        ],
        [[2], [3], [], []]
      )
    ).toBe(0);
  });
});

describe('places', () => {
  it.each(['right', 'down'] as const)(
    'going %s never overlap, and every edge goes on',
    direction => {
      const count = 120;
      const mixed = sizes(count).map((size, at) =>
        at % 11 === 0 ? { width: 400, height: 160 } : size
      );
      const placed = placeLayers(mixed, someLinks(count), direction);
      const rects = placed.corners.map((corner, at) => ({ ...corner, ...mixed[at] }));
      rects.forEach((a, at) => rects.slice(at + 1).forEach(b => expect(overlap(a, b)).toBe(false)));
      for (const { link, points } of placed.ways) {
        const ahead = points.map(point => (direction === 'right' ? point.x : point.y));
        expect([...ahead].sort((a, b) => a - b)).toEqual(ahead);
        const [from, to] = [rects[link[0]], rects[link[1]]];
        expect(ahead[0]).toBeCloseTo(
          direction === 'right' ? from.x + from.width : from.y + from.height
        );
        expect(ahead[ahead.length - 1]).toBeCloseTo(direction === 'right' ? to.x : to.y);
      }
      rects.forEach(rect => {
        expect(rect.x).toBeGreaterThanOrEqual(-0.01);
        expect(rect.y).toBeGreaterThanOrEqual(-0.01);
        expect(rect.x + rect.width).toBeLessThanOrEqual(placed.width + 0.01);
        expect(rect.y + rect.height).toBeLessThanOrEqual(placed.height + 0.01);
      });
    }
  );

  it('are the same for the same input', () => {
    const once = placeLayers(sizes(80), someLinks(80), 'right');
    expect(placeLayers(sizes(80), someLinks(80), 'right')).toEqual(once);
  });

  it('keep a chain straight', () => {
    const placed = placeLayers(
      sizes(5),
      [
        [0, 1],
        [1, 2],
        [2, 3],
        [3, 4]
      ],
      'right'
    );
    expect(new Set(placed.corners.map(corner => corner.y)).size).toBe(1);
  });

  it('end with circles, and draw the edge that closes one backwards', () => {
    const placed = placeLayers(
      sizes(3),
      [
        [0, 1],
        [1, 2],
        [2, 0]
      ],
      'right'
    );
    const back = placed.ways.find(({ link }) => link[0] === 2)!;
    expect(back.points[0].x).toBeGreaterThan(back.points[back.points.length - 1].x);
  });

  it('bound what 1,000 nodes with long edges need', () => {
    const ranked = rankNodes(1000, someLinks(1000));
    const layers = orderLayers(ranked);
    expect(layers.size).toBeLessThanOrEqual(3000);
    expect(layers.layers.flat()).toHaveLength(layers.size);
  });

  it('become paths with a head at the end', () => {
    expect(
      wayPath(
        [
          { x: 0, y: 0 },
          { x: 10, y: 0 },
          { x: 50, y: 20 }
        ],
        'right'
      )
    ).toBe('M0 0L10 0C30 0 30 20 50 20M43 16L50 20L43 24');
  });
});

describe('the scene', () => {
  it('has an edge between groups, and one only', () => {
    const tree = someTree([
      treeRow('list'),
      ...calls('load', 5, () => ({ upstream: ['list'] })),
      ...calls('clean', 5, index => ({ upstream: [`load-${index}`] }))
    ]);
    const { root } = sceneOf(tree);
    expect(linkNames(root)).toEqual(['group:root:load>group:root:clean', 'list>group:root:load']);
  });

  it('has a sub-flow as a box around its tasks, with the edges of each where they belong', () => {
    const tree = someTree([
      treeRow('load'),
      flow('train', { upstream: ['load'] }),
      treeRow('split', { parentId: 'train' }),
      treeRow('fit', { parentId: 'train', upstream: ['split'] }),
      treeRow('report', { upstream: ['fit', 'load'] })
    ]);
    const scene = sceneOf(tree);
    expect(find(scene, 'train').open).toBe(true);
    expect(linkNames(find(scene, 'train'))).toEqual(['split>fit']);
    expect(linkNames(scene.root)).toEqual(['load>report', 'load>train', 'train>report']);
    const { rects } = layoutScene(scene, 'right');
    const [box, inner] = [rects.get('train')!, rects.get('fit')!];
    expect(inner.x).toBeGreaterThan(box.x);
    expect(inner.y + inner.height).toBeLessThan(box.y + box.height);
    expect(overlap(box, rects.get('load')!)).toBe(false);
  });

  it('shows a run in the node that holds it', () => {
    const tree = someTree([
      flow('big'),
      ...Array.from({ length: 20 }, (_, at) => treeRow(`t${at}`, { parentId: 'big' })),
      ...calls('load', 6)
    ]);
    const scene = sceneOf(tree);
    expect(find(scene, 'big').open).toBe(false);
    expect(scene.find('t3')?.key).toBe('big');
    expect(scene.find('load-3')?.key).toBe('group:root:load');
    expect(scene.find('group:root:load')?.key).toBe('group:root:load');
    expect(scene.find('root')).toBeNull();
    expect(scene.find('nobody')).toBeNull();
    const opened = sceneOf(tree, new Map([['big', true]]));
    expect(opened.find('t3')?.key).toBe('t3');
  });

  it('lets nobody wait for itself: edges between a flow and its own tasks are none', () => {
    const tree = someTree([
      flow('train'),
      treeRow('fit', { parentId: 'train', upstream: ['train'] })
    ]);
    const scene = sceneOf(tree);
    expect(scene.root.links).toEqual([]);
    expect(find(scene, 'train').links).toEqual([]);
  });

  it('lays out runs without edges line by line, not in one column', () => {
    const cells = Array.from({ length: 30 }, (_, at) =>
      treeRow(`cell ${at}`, { kind: 'cell', taskName: null })
    );
    const { rects } = layoutScene(sceneOf(someTree(cells)), 'right');
    const all = [...rects.values()];
    const columns = new Set(all.map(rect => rect.x)).size;
    const lines = new Set(all.map(rect => rect.y)).size;
    expect(columns).toBeGreaterThan(2);
    expect(lines).toBeGreaterThan(2);
    const order = cells.map(cell => rects.get(cell.id)!);
    order.slice(1).forEach((rect, at) => {
      const last = order[at];
      expect(rect.y > last.y || (rect.y === last.y && rect.x > last.x)).toBe(true);
    });
  });

  it('draws at most so many of 5,000, and says how many more there are', () => {
    const rows = Array.from({ length: 5000 }, (_, at) =>
      treeRow(`job-${at}`, {
        upstream: at >= 30 ? [`job-${Math.floor((at - 30) / 30)}`] : [],
        state: someState(at === 4999 ? 'FAILED' : 'COMPLETED')
      })
    );
    const tree = someTree(rows);
    const grouping = new Grouping();
    grouping.update(tree);
    const scene = makeScene(tree, grouping, new Map());
    expect(scene.items.size).toBeLessThanOrEqual(MOST_NODES);
    const more = [...scene.items.values()].filter(item => item.hidden.length > 0);
    const shown = [...scene.items.values()].filter(item => item.hidden.length === 0);
    expect(more.reduce((sum, item) => sum + item.hidden.length, shown.length)).toBe(5000);
    const last = scene.find('job-4999')!;
    const entry = itemEntry(last, grouping)!;
    expect(entry.name).toBe(`… ${last.hidden.length.toLocaleString('en')} more`);
    expect(entry.summary?.failed).toBe(1);
  });

  it('has no columns that nobody can survey', () => {
    const fan = (count: number) =>
      sceneOf(
        someTree([
          treeRow('list'),
          ...Array.from({ length: count }, (_, at) => treeRow(`t${at}`, { upstream: ['list'] }))
        ])
      );
    expect(fan(MOST_IN_LAYER).items.size).toBe(MOST_IN_LAYER + 1);
    const { items } = fan(100);
    expect(items.size).toBe(MOST_IN_LAYER + 1);
    const last = [...items.values()].at(-1)!;
    expect(last.hidden).toHaveLength(100 - MOST_IN_LAYER + 1);
  });

  it('draws the beginning of a chain of 3,000', () => {
    const rows = Array.from({ length: 3000 }, (_, at) =>
      treeRow(`s${at}`, { upstream: at > 0 ? [`s${at - 1}`] : [] })
    );
    const scene = sceneOf(someTree(rows));
    expect(scene.items.size).toBeLessThanOrEqual(MOST_NODES);
    expect(scene.find('s0')?.key).toBe('s0');
    expect(scene.find('s2999')?.hidden.length).toBeGreaterThan(2000);
  });

  it('ends with circles through the tree', () => {
    const tree = someTree([
      treeRow('a', { upstream: ['b'] }),
      treeRow('b', { upstream: ['a'] }),
      treeRow('lost', { parentId: 'lost' })
    ]);
    const scene = sceneOf(tree);
    expect(layoutScene(scene, 'right').rects.size).toBe(2);
    expect(scene.find('lost')).toBeNull();
  });
});
