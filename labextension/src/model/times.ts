/** The zone of this browser, `UTC` where it does not say. */
export function browserZone(): string {
  try {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  } catch {
    return 'UTC';
  }
}

/** The wall clock of a zone at a moment (ms since the epoch) as `2026-01-31T14:00`; the browser's for an unknown one. */
export function wallClock(at: number, zone: string): string {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatter(zone).formatToParts(at)) {
    parts[type] = value;
  }
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

function formatter(zone: string): Intl.DateTimeFormat {
  const options: Intl.DateTimeFormatOptions = {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23'
  };
  try {
    return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone });
  } catch {
    return new Intl.DateTimeFormat('en-GB', options);
  }
}

/** `2026-01-31T14:00:00+01:00` → `Sat 2026-01-31 14:00`, the wall clock that the text itself tells. */
export function wallText(iso: string): string {
  const found = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}:\d{2})(?::(\d{2}))?/.exec(iso);
  if (found === null) {
    return iso;
  }
  const [, year, month, day, minute, second] = found;
  const weekday = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDay();
  const name = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][weekday];
  const seconds = second === undefined || second === '00' ? '' : `:${second}`;
  return `${name} ${year}-${month}-${day} ${minute}${seconds}`;
}

/** The offset that ends an ISO time, as `UTC+01:00`; an empty text where there is none. */
export function offsetText(iso: string): string {
  const found = /([+-]\d{2}:\d{2}|Z)$/.exec(iso);
  return found === null ? '' : found[1] === 'Z' || found[1] === '+00:00' ? 'UTC' : `UTC${found[1]}`;
}
