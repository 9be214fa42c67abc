// Shows a flow of `count` tasks, sends it `updates` messages ten times a second, and counts what the page needed.
async ({ source, css, count, names, tab, updates }) => {
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const makeWidget = (await import(url)).default;
  const began = Date.now();
  const at = new Date(began).toISOString();
  const run = {
    id: 'root', kind: 'flow', name: 'big', flow_name: 'big', task_name: null, parent_id: null, root_id: 'root',
    attempt: 1, max_attempts: 1, state: { type: 'RUNNING', name: 'Running', message: null, at }, parameters: {},
    tags: [], upstream: [], source: {}, created_at: at, started_at: at, ended_at: null, progress: null, error: null,
    can_retry: false, can_resume: false
  };
  const message = changes => ({
    now: new Date().toISOString(), run, live: true, can_retry: false, last_log: null, stale: null, dropped: 0, more: 0,
    earlier: null, made: [], changed: [], lines: [], reset: false, progress: { total: count, done: 0, counts: {} },
    ...changes
  });
  const row = (index, type, end) => [
    index, type, type[0] + type.slice(1).toLowerCase(), 1,
    ['wait', 1, began, began + 5, 'run', 1, began + 5, end], null, `last line of ${index}`, null, null, null
  ];
  const made = [];
  const changed = [[-1, 'RUNNING', 'Running', 1, ['run', 1, began, null], null, null, null, null, null]];
  for (let index = 0; index < count; index++) {
    const task = `step${index % names}`;
    const upstream = index >= names ? [`run-${index - names}`] : [];
    made.push([index, `run-${index}`, -1, `${task}-${index}`, 'task', task, began, 1, upstream]);
    changed.push(row(index, 'RUNNING', null));
  }
  const view = message({ seq: 1, reset: true, made, changed });
  const handlers = {};
  const model = {
    get: name => (name === 'view' ? view : 'full'),
    send: () => undefined,
    on: (event, handler) => (handlers[event] = handler),
    off: () => undefined
  };
  const el = document.createElement('div');
  document.body.append(el);
  const painted = () =>
    new Promise(resolve => requestAnimationFrame(() => setTimeout(() => resolve(performance.now()), 0)));
  await painted();

  const start = performance.now();
  const widget = makeWidget();
  widget.initialize({ model });
  const leave = widget.render({ model, el });
  const first = (await painted()) - start;
  el.querySelector(`[data-tab=${tab}]`).click();
  await painted();

  const paints = [];
  const frames = [];
  el.addEventListener('wf:painted', event => paints.push(event.detail));
  let last = performance.now();
  let going = true;
  const frame = now => {
    frames.push(now - last);
    last = now;
    if (going) {
      requestAnimationFrame(frame);
    }
  };
  requestAnimationFrame(frame);
  const each = Math.floor(count / updates);
  for (let update = 0; update < updates; update++) {
    const rows = Array.from({ length: each }, (_, index) => update * each + index);
    const end = Date.now();
    const tree = message({
      seq: update + 2,
      changed: rows.map(index => row(index, 'COMPLETED', end)),
      lines: rows.map(index => [index, end, index, 20, `line of ${index}`])
    });
    handlers['msg:custom']({ type: 'tree', tree });
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  going = false;
  const drawn = el.querySelectorAll('*').length;
  leave();
  return { first, paints, frames, drawn };
}
