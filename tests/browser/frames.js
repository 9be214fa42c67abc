// Shows a flow of `count` tasks with all its tabs made and `tab` open, sends it `updates` bursts of messages in each of
// which `changed` tasks end, ends it, and says what the page did and what it needed.
async ({ source, css, count, names, tab, updates, changed }) => {
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);

  // What the widget asks the page for is counted; this script asks the page itself.
  const asked = { frames: new Set(), intervals: new Set(), timeouts: new Set() };
  const page = {
    frame: window.requestAnimationFrame.bind(window),
    timeout: window.setTimeout.bind(window)
  };
  const counting = (place, ask, cancel, once) => {
    const [start, stop] = [window[ask].bind(window), window[cancel].bind(window)];
    window[ask] = (call, ...rest) => {
      const id = start((...values) => {
        once && place.delete(id);
        call(...values);
      }, ...rest);
      place.add(id);
      return id;
    };
    window[cancel] = id => {
      place.delete(id);
      stop(id);
    };
  };
  counting(asked.frames, 'requestAnimationFrame', 'cancelAnimationFrame', true);
  counting(asked.timeouts, 'setTimeout', 'clearTimeout', true);
  counting(asked.intervals, 'setInterval', 'clearInterval', false);

  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const makeWidget = (await import(url)).default;
  const began = Date.now();
  const at = new Date(began).toISOString();
  const state = type => ({ type, name: type[0] + type.slice(1).toLowerCase(), message: null, at });
  const run = {
    id: 'root', kind: 'flow', name: 'big', flow_name: 'big', task_name: null, parent_id: null, root_id: 'root',
    attempt: 1, max_attempts: 1, state: state('RUNNING'), parameters: {}, tags: [], upstream: [], source: {},
    created_at: at, started_at: at, ended_at: null, progress: null, error: null, can_retry: false, can_resume: false
  };
  const counts = { total: count, done: 0, counts: {} };
  const message = changes => ({
    now: new Date().toISOString(), run, live: true, can_retry: false, last_log: null, stale: null, dropped: 0, more: 0,
    earlier: null, made: [], changed: [], lines: [], reset: false, progress: counts, ...changes
  });
  const row = (index, type, end) => [
    index, type, type[0] + type.slice(1).toLowerCase(), 1,
    ['wait', 1, began, began + 5, 'run', 1, began + 5, end], null, `last line of ${index}`, null, null, null
  ];
  const root = (type, end) => [-1, type, type[0] + type.slice(1).toLowerCase(), 1, ['run', 1, began, end],
    null, null, null, null, null];
  const made = [];
  const running = [root('RUNNING', null)];
  for (let index = 0; index < count; index++) {
    const task = `step${index % names}`;
    const upstream = index >= names ? [`run-${index - names}`] : [];
    made.push([index, `run-${index}`, -1, `${task}-${index}`, 'task', task, began, 1, upstream]);
    running.push(row(index, 'RUNNING', null));
  }
  const view = message({ seq: 1, reset: true, made, changed: running });
  const handlers = {};
  const model = {
    get: name => (name === 'view' ? view : 'full'),
    send: () => undefined,
    on: (event, handler) => (handlers[event] = handler),
    off: () => undefined
  };
  const el = document.createElement('div');
  document.body.append(el);
  const shown = () => new Promise(resolve => page.frame(() => page.timeout(() => resolve(performance.now()), 0)));
  const still = async () => {
    for (let frame = 0; frame < 3; frame++) {
      await shown();
    }
  };
  await shown();

  const start = performance.now();
  const widget = makeWidget();
  widget.initialize({ model });
  const leave = widget.render({ model, el });
  const first = (await shown()) - start;
  const tabs = [...el.querySelectorAll('[data-tab]')].map(each => each.dataset.tab);
  for (const each of tabs.filter(each => each !== tab)) {
    el.querySelector(`[data-tab=${each}]`).click();
    await shown();
  }
  const opening = performance.now();
  el.querySelector(`[data-tab=${tab}]`).click();
  const opened = (await shown()) - opening;
  await still();
  const drawn = el.querySelectorAll('*').length;

  // A paint in a frame has that frame's time on the document's clock.
  const paints = [];
  el.addEventListener('wf:painted', ({ detail }) => paints.push({ took: detail, frame: document.timeline.currentTime }));
  const frames = [];
  let last = performance.now();
  let going = true;
  const frame = now => {
    frames.push(now - last);
    last = now;
    if (going) {
      page.frame(frame);
    }
  };
  page.frame(frame);

  const touched = [];
  let elsewhere = 0;
  const open = el.querySelector(`[data-panel=${tab}]`);
  const look = records => {
    const elements = new Set();
    for (const { target, addedNodes, removedNodes } of records) {
      for (const node of [target, ...addedNodes, ...removedNodes]) {
        const element = node instanceof Element ? node : (node.parentElement ?? target);
        elements.add(element);
        if (node !== target && node instanceof Element) {
          node.querySelectorAll('*').forEach(each => elements.add(each));
        }
      }
      const panel = (target instanceof Element ? target : target.parentElement)?.closest('[data-panel]');
      elsewhere += panel && panel !== open ? 1 : 0;
    }
    return elements.size;
  };
  const everything = { subtree: true, childList: true, attributes: true, characterData: true };
  const endingIn = update => Array.from({ length: changed }, (_, index) => update * changed + index);
  let seq = 1;
  const send = changes => handlers['msg:custom']({ type: 'tree', tree: message({ seq: ++seq, ...changes }) });
  for (let update = 0; update < updates; update++) {
    const records = [];
    const watcher = new MutationObserver(found => records.push(...found));
    watcher.observe(el, everything);
    const end = Date.now();
    const ended = endingIn(update);
    counts.done += ended.length;
    // Four messages in one turn: one paint is to show them all.
    for (let part = 0; part < 4; part++) {
      const some = ended.slice((part * changed) / 4, ((part + 1) * changed) / 4);
      send({
        changed: some.map(index => row(index, 'COMPLETED', end)),
        lines: some.map(index => [index, end, index, 20, `line of ${index}`])
      });
    }
    await still();
    watcher.disconnect();
    touched.push(look(records));
  }
  going = false;
  const most = el.querySelectorAll('*').length;
  const seen = open.getClientRects().length > 0;

  const end = Date.now();
  run.state = state('COMPLETED');
  run.ended_at = new Date(end).toISOString();
  const left = Array.from({ length: count }, (_, index) => index).slice(updates * changed);
  send({ live: false, changed: [root('COMPLETED', end), ...left.map(index => row(index, 'COMPLETED', end))] });
  await still();
  const finished = Object.fromEntries(Object.entries(asked).map(([name, ids]) => [name, ids.size]));
  const words = el.textContent;
  leave();
  return { tabs, first, opened, paints, frames, drawn, most, touched, elsewhere, seen, finished, words };
}
