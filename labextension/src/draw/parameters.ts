import { type Drawing, make, setAttribute, setText } from './drawing';
import { plain, valueText } from './text';

const LONGEST = 2000;

/** A run's parameters on one line that opens to a list. It hides itself where there are none. */
export function drawParameters(): Drawing<Readonly<Record<string, unknown>>> {
  const element = make('div', 'wf-Parameters');
  const toggle = make('button', 'wf-Parameters-toggle');
  const arrow = make('span', 'wf-Parameters-arrow');
  const title = make('span', 'wf-Parameters-title');
  const line = make('span', 'wf-Parameters-line');
  const list = make('dl', 'wf-Parameters-list');
  toggle.type = 'button';
  arrow.setAttribute('aria-hidden', 'true');
  toggle.append(arrow, title, line);
  element.append(toggle, list);
  let open = false;
  let drawn = '';
  const show = (): void => {
    setAttribute(toggle, 'aria-expanded', String(open));
    setText(arrow, open ? '▾' : '▸');
    line.hidden = open;
    list.hidden = !open;
  };
  toggle.addEventListener('click', () => {
    open = !open;
    show();
  });
  show();
  return {
    element,
    update(parameters) {
      const pairs = Object.entries(parameters).map(
        ([name, value]) => [plain(name), valueText(value).slice(0, LONGEST)] as const
      );
      const text = pairs.map(([name, value]) => `${name} = ${value}`).join(', ');
      element.hidden = pairs.length === 0;
      setText(title, pairs.length === 1 ? '1 parameter' : `${pairs.length} parameters`);
      setText(line, text.slice(0, LONGEST));
      setAttribute(toggle, 'title', text.slice(0, LONGEST));
      if (text !== drawn) {
        drawn = text;
        list.replaceChildren(
          ...pairs.map(([name, value]) => {
            const pair = make('div', 'wf-Parameters-pair');
            pair.append(make('dt', '', name), make('dd', '', value));
            return pair;
          })
        );
      }
    }
  };
}
