const ESC = '\u001b';
/** Terminal sequences: CSI (colours, cursor), OSC (titles, links; up to BEL or ST), and two-character escapes. */
const TERMINAL = new RegExp(
  `(?:${ESC}\\[|\u009b)[0-?]*[ -/]*[@-~]|${ESC}[\\]PX^_][^\u0007${ESC}]*(?:\u0007|${ESC}\\\\|$)|${ESC}[ -/]*[0-~]?`,
  'g'
);
const INVISIBLE =
  // Control characters but tab and newline, and the marks that turn the direction of text around.
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Text from a run as plain text: terminal colours and cursor moves go, a carriage return overwrites its line (progress
 * bars), and control or direction characters that could disguise something are shown escaped, as `\u202e`.
 */
export function plain(text: string): string {
  return text
    .replace(TERMINAL, '')
    .replace(/\r\n/g, '\n')
    .replace(/[^\n]*\r(?=[^\n])/g, '')
    .replace(/\r/g, '')
    .replace(INVISIBLE, escaped);
}

/** The first line that says something, of text made plain. */
export function firstLine(text: string): string {
  return (
    plain(text)
      .split('\n')
      .find(line => line.trim() !== '')
      ?.trim() ?? ''
  );
}

/** The last line that says something, of text made plain. */
export function lastLine(text: string): string {
  const lines = plain(text)
    .split('\n')
    .filter(line => line.trim() !== '');
  return lines.length > 0 ? lines[lines.length - 1].trim() : '';
}

/** `ValueError: bad input`, on one line. */
export function errorLine(error: { type: string; message: string }): string {
  const message = firstLine(error.message);
  return message ? `${plain(error.type)}: ${message}` : plain(error.type);
}

/** A parameter's value on one line. */
export function valueText(value: unknown): string {
  return plain(JSON.stringify(value) ?? String(value));
}
