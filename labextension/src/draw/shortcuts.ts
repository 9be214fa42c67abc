/**
 * Let keys without a modifier reach what has the focus inside of `element`, rather than a notebook around it, whose
 * command mode takes letters, arrows and Enter. Combinations such as Ctrl+S stay the application's.
 *
 * Lumino, which JupyterLab's shortcuts are made with, leaves elements alone that have a certain attribute; it listens
 * on the document before anything in it does, so that the attribute is set even earlier. Returns what undoes it.
 */
export function ownKeys(element: HTMLElement): () => void {
  const onKey = (event: KeyboardEvent): void => {
    const { target } = event;
    if (target instanceof Element && element.contains(target)) {
      const combined = event.ctrlKey || event.metaKey || event.altKey;
      if (combined) {
        target.removeAttribute('data-lm-suppress-shortcuts');
      } else {
        target.setAttribute('data-lm-suppress-shortcuts', 'true');
      }
    }
  };
  const listen = (): void => window.addEventListener('keydown', onKey, true);
  const leave = (): void => window.removeEventListener('keydown', onKey, true);
  element.addEventListener('focusin', listen);
  element.addEventListener('focusout', leave);
  return () => {
    leave();
    element.removeEventListener('focusin', listen);
    element.removeEventListener('focusout', leave);
  };
}
