import { drawStateIcon } from './badge';
import { type Drawing, make, setAttribute, setText } from './drawing';
import { STATE_TYPES, typeLabel } from './states';

/** How many there are of each type of state, and which types are chosen. */
export interface ChipsView {
  counts: ReadonlyMap<string, number>;
  chosen: ReadonlySet<string>;
}

/** A switch for each type of state that there is: shape, word and number. */
export function drawChips(onToggle: (type: string) => void): Drawing<ChipsView> {
  const element = make('div', 'wf-Chips');
  element.setAttribute('role', 'group');
  element.setAttribute('aria-label', 'Show only tasks that are');
  const chips = STATE_TYPES.map(type => {
    const chip = make('button', 'wf-Chip');
    const icon = drawStateIcon();
    const word = make('span', 'wf-Chip-word', typeLabel(type));
    const count = make('span', 'wf-Chip-count');
    chip.type = 'button';
    chip.dataset.state = type;
    icon.update(type);
    chip.append(icon.element, word, count);
    chip.addEventListener('click', () => onToggle(type));
    element.append(chip);
    return { type, chip, count };
  });
  return {
    element,
    update({ counts, chosen }) {
      for (const { type, chip, count } of chips) {
        const number = counts.get(type) ?? 0;
        chip.hidden = number === 0 && !chosen.has(type);
        setText(count, String(number));
        setAttribute(chip, 'aria-pressed', String(chosen.has(type)));
        setAttribute(
          chip,
          'title',
          `${chosen.has(type) ? 'Show all again' : 'Show only'}: ${typeLabel(type)} (${number})`
        );
      }
    }
  };
}
