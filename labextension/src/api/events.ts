import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import { API } from './client';
import type { StreamJSON } from './schema';

/** `connecting` before the first connection, `reconnecting` after one was lost, `closed` for good. */
export type SocketStatus = 'connecting' | 'open' | 'reconnecting' | 'closed';

/** What the socket needs from the outside; tests put their own in. */
export interface EventSocketOptions {
  settings: ServerConnection.ISettings;
  /** Where to begin: events with a greater `seq` come. */
  after: number;
  /** The run whose tree's log lines are wanted too. */
  logs?: string;
  /** A uniform random number from 0 to 1: spreads the reconnects of many windows. */
  random?: () => number;
}

/** The server's heartbeat comes every 15 s: twice that and a bit more without a message means the line is dead. */
export const SILENCE = 35_000;
const FIRST_DELAY = 250;
const LONGEST_DELAY = 15_000;

/**
 * The one owner of a WebSocket to the stream of events. Its duties:
 *
 * - connect with the server's settings (URL, token), and again with growing, jittered pauses when the line is lost;
 * - ask for `?after=` the last `seq` it passed on, so that a reconnect loses nothing;
 * - pass messages on in the order of their `seq` and drop those that were passed on already;
 * - notice a line that is open but silent (the heartbeat is missing), and come back at once when the browser is online;
 * - notice a stream that began anew (the state file was replaced): `restarted`, and its owner loads everything again.
 */
export class EventSocket {
  constructor(private readonly options: EventSocketOptions) {
    this.seq = options.after;
    window.addEventListener('online', this.onOnline);
    this.connect();
  }

  /** Messages with something in them; heartbeats are not passed on. */
  get message(): ISignal<this, StreamJSON> {
    return this.messageSignal;
  }

  get statusChanged(): ISignal<this, SocketStatus> {
    return this.statusSignal;
  }

  /** The stream is behind what was seen already: it is another one. */
  get restarted(): ISignal<this, void> {
    return this.restartedSignal;
  }

  get status(): SocketStatus {
    return this.currentStatus;
  }

  /** The last `seq` that was passed on. */
  get lastSeq(): number {
    return this.seq;
  }

  dispose(): void {
    if (this.currentStatus !== 'closed') {
      window.removeEventListener('online', this.onOnline);
      this.setStatus('closed');
      this.clearTimers();
      this.drop();
      Signal.clearData(this);
    }
  }

  private url(): string {
    const { settings, logs } = this.options;
    const query: Record<string, string> = { after: String(this.seq) };
    if (logs !== undefined) {
      query.logs = logs;
    }
    if (settings.appendToken && settings.token !== '') {
      query.token = settings.token;
    }
    return URLExt.join(settings.wsUrl, API, 'events') + URLExt.objectToQueryString(query);
  }

  private connect(): void {
    this.clearTimers();
    this.drop();
    const socket = new this.options.settings.WebSocket(this.url());
    this.socket = socket;
    socket.onopen = () => {
      this.setStatus('open');
      this.watch();
    };
    socket.onmessage = event => this.receive(event.data);
    // An error is always followed by a close.
    socket.onclose = () => this.lost();
    this.watch();
  }

  private receive(data: unknown): void {
    const message = this.decode(data);
    if (message === null) {
      this.lost();
      return;
    }
    this.watch();
    // Only a line that carries something counts as good: one that is refused right after opening does not.
    this.failures = 0;
    if (message.seq < this.seq) {
      this.seq = message.seq;
      this.restartedSignal.emit();
      return;
    }
    const isNew = message.seq > this.seq;
    this.seq = message.seq;
    if (isNew || message.events.length > 0 || message.runs.length > 0) {
      this.messageSignal.emit(message);
    }
  }

  /** An empty message is a heartbeat; null stands for what can't be read. */
  private decode(data: unknown): StreamJSON | null {
    try {
      const partial = (data === '' ? {} : JSON.parse(String(data))) as Partial<StreamJSON>;
      return {
        seq: partial.seq ?? this.seq,
        events: partial.events ?? [],
        runs: partial.runs ?? []
      };
    } catch {
      return null;
    }
  }

  private lost(): void {
    if (this.currentStatus === 'closed') {
      return;
    }
    this.clearTimers();
    this.drop();
    if (this.currentStatus === 'open') {
      this.setStatus('reconnecting');
    }
    const random = this.options.random ?? Math.random;
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.failures);
    this.failures += 1;
    this.retryTimer = window.setTimeout(() => this.connect(), longest * (0.5 + random() / 2));
  }

  private watch(): void {
    window.clearTimeout(this.silenceTimer);
    this.silenceTimer = window.setTimeout(() => this.lost(), SILENCE);
  }

  private readonly onOnline = (): void => {
    if (this.currentStatus !== 'open' && this.currentStatus !== 'closed') {
      this.failures = 0;
      this.connect();
    }
  };

  private drop(): void {
    const { socket } = this;
    if (socket !== null) {
      this.socket = null;
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
  }

  private clearTimers(): void {
    window.clearTimeout(this.retryTimer);
    window.clearTimeout(this.silenceTimer);
  }

  private setStatus(status: SocketStatus): void {
    if (this.currentStatus !== status) {
      this.currentStatus = status;
      this.statusSignal.emit(status);
    }
  }

  private readonly messageSignal = new Signal<this, StreamJSON>(this);
  private readonly statusSignal = new Signal<this, SocketStatus>(this);
  private readonly restartedSignal = new Signal<this, void>(this);
  private currentStatus: SocketStatus = 'connecting';
  private socket: WebSocket | null = null;
  private seq: number;
  private failures = 0;
  private retryTimer: number | undefined;
  private silenceTimer: number | undefined;
}
