import { EventSocket, SILENCE, type SocketStatus } from '../src/api/events';
import type { StreamJSON } from '../src/api/schema';
import { FakeWebSocket, someSettings } from './fakes';
import { aMessage, aRun } from './fixtures';

let socket: EventSocket;
let seen: StreamJSON[];
let statuses: SocketStatus[];
let restarts: number;

function listen(logs?: string): void {
  socket = new EventSocket({ settings: someSettings(), after: 7, logs, random: () => 1 });
  socket.message.connect((_, message) => seen.push(message));
  socket.statusChanged.connect((_, status) => statuses.push(status));
  socket.restarted.connect(() => (restarts += 1));
}

beforeEach(() => {
  jest.useFakeTimers();
  FakeWebSocket.made = [];
  seen = [];
  statuses = [];
  restarts = 0;
});

afterEach(() => {
  socket.dispose();
  jest.useRealTimers();
});

describe('EventSocket', () => {
  it('connects with the settings, the token and the place in the stream', () => {
    listen('run-1');
    expect(FakeWebSocket.last.url).toBe(
      'ws://here/base/jupyter_wf/api/events?after=7&logs=run-1&token=secret'
    );
    expect(socket.status).toBe('connecting');
  });

  it('leaves the token out where the settings say so', () => {
    socket = new EventSocket({ settings: someSettings({ appendToken: false }), after: 0 });
    expect(FakeWebSocket.last.url).toBe('ws://here/base/jupyter_wf/api/events?after=0');
  });

  it('passes messages on, and keeps heartbeats to itself', () => {
    listen();
    FakeWebSocket.last.open();
    FakeWebSocket.last.say(aMessage(7));
    FakeWebSocket.last.say('');
    expect(seen).toEqual([]);
    FakeWebSocket.last.say(aMessage(9, [aRun('a')]));
    expect(seen.map(message => message.seq)).toEqual([9]);
    expect(statuses).toEqual(['open']);
  });

  it('comes back after a loss where it was, with growing pauses', () => {
    listen();
    FakeWebSocket.last.open();
    FakeWebSocket.last.say(aMessage(12, [aRun('a')]));
    FakeWebSocket.last.drop();
    expect(statuses).toEqual(['open', 'reconnecting']);
    const pauses: number[] = [];
    for (let turn = 0; turn < 9; turn++) {
      const before = FakeWebSocket.made.length;
      let waited = 0;
      while (FakeWebSocket.made.length === before) {
        jest.advanceTimersByTime(250);
        waited += 250;
      }
      pauses.push(waited);
      expect(FakeWebSocket.last.after).toBe('12');
      FakeWebSocket.last.drop();
    }
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  });

  it('begins with short pauses again once messages came', () => {
    listen();
    for (let turn = 0; turn < 4; turn++) {
      FakeWebSocket.last.drop();
      jest.advanceTimersByTime(15_000);
    }
    FakeWebSocket.last.open();
    FakeWebSocket.last.say(aMessage(8, [aRun('a')]));
    FakeWebSocket.last.drop();
    const before = FakeWebSocket.made.length;
    jest.advanceTimersByTime(250);
    expect(FakeWebSocket.made.length).toBe(before + 1);
  });

  it('ignores what an old line still says', () => {
    listen();
    const old = FakeWebSocket.last;
    old.open();
    const { onmessage } = old;
    old.drop();
    expect(old.closed).toBe(true);
    expect(old.onmessage).toBeNull();
    expect(onmessage).not.toBeNull();
  });

  it('gives up a line that is silent', () => {
    listen();
    FakeWebSocket.last.open();
    jest.advanceTimersByTime(SILENCE - 1);
    FakeWebSocket.last.say(aMessage(7));
    jest.advanceTimersByTime(SILENCE - 1);
    expect(FakeWebSocket.made).toHaveLength(1);
    jest.advanceTimersByTime(1);
    expect(statuses).toEqual(['open', 'reconnecting']);
    jest.advanceTimersByTime(250);
    expect(FakeWebSocket.made).toHaveLength(2);
  });

  it('gives up a line that talks nonsense', () => {
    listen();
    FakeWebSocket.last.open();
    FakeWebSocket.last.say('{"seq":');
    expect(socket.status).toBe('reconnecting');
    expect(seen).toEqual([]);
  });

  it('comes back at once when the browser is online again', () => {
    listen();
    FakeWebSocket.last.open();
    FakeWebSocket.last.drop();
    window.dispatchEvent(new Event('online'));
    expect(FakeWebSocket.made).toHaveLength(2);
    FakeWebSocket.last.open();
    window.dispatchEvent(new Event('online'));
    expect(FakeWebSocket.made).toHaveLength(2);
  });

  it('says when the stream is another one', () => {
    listen();
    FakeWebSocket.last.open();
    FakeWebSocket.last.say(aMessage(3));
    expect(restarts).toBe(1);
    expect(seen).toEqual([]);
  });

  it('is silent once disposed', () => {
    listen();
    FakeWebSocket.last.open();
    socket.dispose();
    expect(FakeWebSocket.last.closed).toBe(true);
    jest.advanceTimersByTime(60_000);
    window.dispatchEvent(new Event('online'));
    expect(FakeWebSocket.made).toHaveLength(1);
  });
});
