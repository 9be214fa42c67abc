import type { ServerConnection } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { ApiError, type WorkflowClient } from '../src/api/client';
import type { AutomationClient } from '../src/api/automations';
import type { DeploymentClient } from '../src/api/deployments';
import type { EventSocket, EventSocketOptions, SocketStatus } from '../src/api/events';
import type {
  AutomationJSON,
  AutomationTestJSON,
  DeliveryJSON,
  DeploymentDetailJSON,
  FieldErrorJSON,
  LogJSON,
  NotebookFormJSON,
  PreviewJSON,
  PreviewRequestJSON,
  RunJSON,
  RunPageJSON,
  SaveDeploymentJSON,
  StreamJSON
} from '../src/api/schema';
import { aForm, aPreview } from './fixtures';
import { treeJSON } from './messages';

/** Settings of a server that is not there. */
export function someSettings(
  changes: Partial<ServerConnection.ISettings> = {}
): ServerConnection.ISettings {
  return {
    baseUrl: 'http://here/base/',
    appUrl: '/lab',
    wsUrl: 'ws://here/base/',
    init: {},
    token: 'secret',
    appendToken: true,
    cache: 'no-store',
    fetch: () => Promise.reject(new Error('no network in this test')),
    // jsdom has neither; the tests that send requests bring their own.
    Headers: Map as unknown as typeof Headers,
    Request: Object as unknown as typeof Request,
    WebSocket: FakeWebSocket as unknown as typeof WebSocket,
    serializer: {} as ServerConnection.ISettings['serializer'],
    ...changes
  } as ServerConnection.ISettings;
}

/** A WebSocket whose other end is the test. */
export class FakeWebSocket {
  static made: FakeWebSocket[] = [];
  static get last(): FakeWebSocket {
    return FakeWebSocket.made[FakeWebSocket.made.length - 1];
  }
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;

  constructor(readonly url: string) {
    FakeWebSocket.made.push(this);
  }
  close(): void {
    this.closed = true;
  }
  get after(): string | null {
    return new URL(this.url).searchParams.get('after');
  }
  open(): void {
    this.onopen?.();
  }
  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  drop(): void {
    this.onclose?.();
  }
}

/** An `EventSocket` without a wire. */
export class FakeSocket {
  status: SocketStatus = 'open';
  disposed = false;
  constructor(readonly options: EventSocketOptions) {}
  readonly message = new Signal<this, StreamJSON>(this);
  readonly statusChanged = new Signal<this, SocketStatus>(this);
  readonly restarted = new Signal<this, void>(this);
  setStatus(status: SocketStatus): void {
    this.status = status;
    this.statusChanged.emit(status);
  }
  dispose(): void {
    this.disposed = true;
    Signal.clearData(this);
  }
}

/** A server in memory: what it answers can be set, what it was asked is noted. */
export class FakeServer {
  runs: RunJSON[] = [];
  lines: LogJSON[] = [];
  seq = 10;
  pageSize = 50;
  asked: string[] = [];
  refusal: ApiError | null = null;
  sockets: FakeSocket[] = [];
  scheduled: DeploymentDetailJSON[] = [];
  automated: AutomationJSON[] = [];
  deliveries: DeliveryJSON[] = [];
  tested: AutomationTestJSON = { ok: true, actions: [] };
  agents = 1;
  scheduler = true;
  form: NotebookFormJSON = aForm();
  preview: (asked: PreviewRequestJSON) => PreviewJSON = () => aPreview();
  bodies: SaveDeploymentJSON[] = [];
  /** What is wrong with what is typed. */
  wrong: FieldErrorJSON[] = [];

  get socket(): FakeSocket {
    return this.sockets[this.sockets.length - 1];
  }

  readonly openSocket = (options: EventSocketOptions): EventSocket => {
    const socket = new FakeSocket(options);
    this.sockets.push(socket);
    return socket as unknown as EventSocket;
  };

  get client(): WorkflowClient {
    return {
      settings: someSettings(),
      meta: () =>
        this.answer('meta', { version: '1', api: 1, database: '', sqlite: '', seq: this.seq }),
      runs: (query: { cursor?: string | null; text?: string; states?: string[] }) =>
        this.answer(
          `runs ${query.text ?? ''} ${(query.states ?? []).join(',')}`.trim(),
          this.page(
            this.runs.filter(run => run.parent_id === null && run.name.includes(query.text ?? '')),
            query.cursor ?? null
          )
        ),
      run: (id: string) => {
        const run = this.runs.find(item => item.id === id);
        return run
          ? this.answer(`run ${id}`, run)
          : Promise.reject(new ApiError(404, 'RunNotFound', `no run has the id ${id}`));
      },
      tree: (id: string) => {
        const run = this.runs.find(item => item.id === id);
        return run
          ? this.answer(`tree ${id}`, treeJSON(run, this.runs, this.lines, this.seq))
          : Promise.reject(new ApiError(404, 'RunNotFound', `no run has the id ${id}`));
      },
      start: (body: { notebook: string }) => this.answer(`start ${body.notebook}`, this.runs[0]),
      cancel: (id: string) => this.answer(`cancel ${id}`, {}),
      retry: (id: string) => this.answer(`retry ${id}`, {}),
      goOn: (id: string, how: string) => this.answer(`${how} ${id}`, this.runs[0]),
      rerun: (id: string) => this.answer(`rerun ${id}`, { ...this.runs[0], id: 'another' }),
      copyNotebook: (id: string, what: string) =>
        this.answer(`copy ${what} ${id}`, { path: `copy-of-${id}.ipynb` })
    } as unknown as WorkflowClient;
  }

  get deployments(): DeploymentClient {
    const one = (id: string) => this.scheduled.find(each => each.deployment.id === id)?.deployment;
    return {
      settings: someSettings(),
      list: () =>
        this.answer('deployments', {
          items: this.scheduled,
          agents: this.agents,
          scheduler: this.scheduler
        }),
      create: (body: SaveDeploymentJSON) => {
        this.bodies.push(body);
        return this.answer(`create ${body.name}`, {});
      },
      change: (id: string, body: SaveDeploymentJSON) => {
        this.bodies.push(body);
        return this.answer(`change ${id}`, {});
      },
      check: (id: string | null, body: SaveDeploymentJSON) =>
        this.answer(`check ${id ?? body.name}`, { errors: this.wrong }),
      remove: (id: string) => {
        this.scheduled = this.scheduled.filter(each => each.deployment.id !== id);
        return this.answer(`remove ${id}`, undefined);
      },
      pause: (id: string, reason: string) => {
        if (this.refusal === null) {
          Object.assign(one(id) ?? {}, { paused: true, paused_reason: reason });
        }
        return this.answer(`pause ${id}`, {});
      },
      unpause: (id: string) => this.answer(`unpause ${id}`, {}),
      run: (id: string, parameters: object) =>
        this.answer(`run ${id} ${JSON.stringify(parameters)}`, this.runs[0]),
      preview: (body: PreviewRequestJSON) =>
        this.answer(`preview ${JSON.stringify(body.spec)}`, this.preview(body)),
      form: (path: string) => this.answer(`form ${path}`, this.form)
    } as unknown as DeploymentClient;
  }

  get automations(): AutomationClient {
    return {
      settings: someSettings(),
      list: () => this.answer('automations', { items: this.automated }),
      setEnabled: (id: string, enabled: boolean) => {
        if (this.refusal === null) {
          this.automated = this.automated.map(each =>
            each.id === id ? { ...each, enabled } : each
          );
        }
        return this.answer(`enabled ${id} ${String(enabled)}`, {});
      },
      test: (id: string) => this.answer(`test ${id}`, this.tested),
      deliveries: (id: string, limit: number) =>
        this.answer(`deliveries ${id} ${limit}`, { items: this.deliveries.slice(0, limit) }),
      remove: (id: string) => {
        this.automated = this.automated.filter(each => each.id !== id);
        return this.answer(`remove ${id}`, undefined);
      }
    } as unknown as AutomationClient;
  }

  private answer<T>(what: string, value: T): Promise<T> {
    this.asked.push(what);
    return this.refusal === null ? Promise.resolve(value) : Promise.reject(this.refusal);
  }

  private page(all: RunJSON[], cursor: string | null): RunPageJSON {
    const from = Number(cursor ?? '0');
    const end = from + this.pageSize;
    return { items: all.slice(from, end), next: all.length > end ? String(end) : null };
  }
}
