import { ServerConnection } from '@jupyterlab/services';
import { request, type Query } from './http';
import type {
  MetaJSON,
  NotebookCopyJSON,
  RequestJSON,
  RunJSON,
  RunPageJSON,
  StartRunJSON
} from './schema';
import type { TreeJSON } from './tree';

export { API, ApiError, messageOf } from './http';

/** Which runs to list; empty fields do not restrict. */
export interface RunQuery {
  states?: readonly string[];
  text?: string;
  roots?: boolean;
  limit?: number;
  cursor?: string | null;
}

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

  private request<T>(
    method: 'GET' | 'POST',
    path: string,
    query: Query = {},
    body?: object
  ): Promise<T> {
    return request<T>(this.settings, method, path, query, body);
  }
}
