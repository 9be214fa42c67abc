/** A piece of DOM that is made once and then changed in place, so that updates cost little and keep focus. */
export interface Drawing<T> {
  readonly element: HTMLElement;
  update(value: T): void;
}

/** Make an element with a class and, optionally, text. Text is always text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text?: string
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) {
    element.textContent = text;
  }
  return element;
}

/** Set an element's text only where it differs: selections and screen readers are left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Set or remove an attribute, only where it differs. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) {
    if (element.hasAttribute(name)) {
      element.removeAttribute(name);
    }
  } else if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}
