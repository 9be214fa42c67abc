import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type {
  ErrorJSON,
  MetaJSON,
  NotebookCopyJSON,
  RequestJSON,
  RunJSON,
  RunPageJSON,
  StartRunJSON
} from './schema';
import type { TreeJSON } from './tree';

/** Where the server extension answers, below the server's base URL. */
export const API = 'jupyter_wf/api';

/** A refusal by the server, or no answer at all (`status` 0). `message` is fit to be shown. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly error: string,
    message: string
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** Which runs to list; empty fields do not restrict. */
export interface RunQuery {
  states?: readonly string[];
  text?: string;
  roots?: boolean;
  limit?: number;
  cursor?: string | null;
}

type Query = Record<string, string | number | boolean | null | undefined>;

/** The REST API, one method for each route. Every method rejects with `ApiError`. */
export class WorkflowClient {
  constructor(readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  meta(): Promise<MetaJSON> {
    return this.request<MetaJSON>('GET', 'meta');
  }

  runs(query: RunQuery = {}): Promise<RunPageJSON> {
    const { states, text, roots, limit, cursor } = query;
    return this.request<RunPageJSON>('GET', 'runs', {
      state: states?.join(','),
      text,
      roots,
      limit,
      cursor
    });
  }

  /** Start a notebook (a path below the server's root) as a workflow. */
  start(body: Required<StartRunJSON>): Promise<RunJSON> {
    return this.request<RunJSON>('POST', 'runs', {}, body);
  }

  run(id: string): Promise<RunJSON> {
    return this.request<RunJSON>('GET', `runs/${encodeURIComponent(id)}`);
  }

  /** The run and everything below it, with its newest log lines. */
  tree(id: string): Promise<TreeJSON> {
    return this.request<TreeJSON>('GET', `runs/${encodeURIComponent(id)}/tree`);
  }

  cancel(id: string): Promise<RequestJSON> {
    return this.request<RequestJSON>('POST', `runs/${encodeURIComponent(id)}/cancel`);
  }

  retry(id: string): Promise<RequestJSON> {
    return this.request<RequestJSON>('POST', `runs/${encodeURIComponent(id)}/retry`);
  }

  /** Begin the next attempt of a notebook's run. */
  goOn(id: string, how: 'resume' | 'repair'): Promise<RunJSON> {
    return this.request<RunJSON>('POST', `runs/${encodeURIComponent(id)}/${how}`);
  }

  /** Run the notebook of a run again, as a new run. */
  rerun(id: string): Promise<RunJSON> {
    return this.request<RunJSON>('POST', `runs/${encodeURIComponent(id)}/rerun`);
  }

  /** Copy the executed notebook, or the one that was run, to where Jupyter can open it; the answer names the place. */
  copyNotebook(id: string, what: 'executed' | 'snapshot'): Promise<NotebookCopyJSON> {
    const path = `runs/${encodeURIComponent(id)}/notebook/copy`;
    return this.request<NotebookCopyJSON>('POST', path, {}, { what });
  }

  private async request<T>(
    method: 'GET' | 'POST',
    path: string,
    query: Query = {},
    body?: object
  ): Promise<T> {
    const url = URLExt.join(this.settings.baseUrl, API, path) + queryText(query);
    const init: RequestInit = { method };
    if (body !== undefined) {
      // A browser would call it text, and the server refuses what is not declared as JSON.
      const headers = new this.settings.Headers();
      headers.set('Content-Type', 'application/json');
      Object.assign(init, { headers, body: JSON.stringify(body) });
    }
    let response: Response;
    let text: string;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
      text = await response.text();
    } catch (reason) {
      throw new ApiError(
        0,
        'NetworkError',
        `The Jupyter server does not answer (${String(reason)})`
      );
    }
    const data = parse(text);
    if (!response.ok) {
      throw refusal(response, data);
    }
    if (data === undefined) {
      throw new ApiError(
        response.status,
        'BadAnswer',
        `The server's answer to ${path} is not JSON`
      );
    }
    return data as T;
  }
}

function queryText(query: Query): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) {
      const word = value === true ? '1' : String(value);
      parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(word)}`);
    }
  }
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(response: Response, data: unknown): ApiError {
  const { error, message } = (data ?? {}) as Partial<ErrorJSON>;
  if (typeof message === 'string' && message) {
    return new ApiError(response.status, typeof error === 'string' ? error : 'Error', message);
  }
  const hint =
    response.status === 404
      ? 'The jupyter_wf server extension does not answer; "jupyter server extension list" shows whether it is enabled'
      : `The server refused: ${response.status} ${response.statusText}`;
  return new ApiError(response.status, 'Error', hint);
}

/** What to show to people of anything that was thrown. */
export function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
