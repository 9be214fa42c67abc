import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { ErrorJSON, FieldErrorJSON } from './schema';

/** Where the server extension answers, below the server's base URL. */
export const API = 'jupyter_wf/api';

/**
 * A refusal by the server, or no answer at all (`status` 0). `message` is fit to be shown; `fields` says what is wrong
 * with single fields of what was sent.
 */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly error: string,
    message: string,
    readonly fields: readonly FieldErrorJSON[] = []
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';
export type Query = Record<string, string | number | boolean | null | undefined>;

/** Ask the server; `path` is below the API's address. Rejects with `ApiError`. An empty answer (204) is `undefined`. */
export async function request<T>(
  settings: ServerConnection.ISettings,
  method: Method,
  path: string,
  query: Query = {},
  body?: object
): Promise<T> {
  const url = URLExt.join(settings.baseUrl, API, path) + queryText(query);
  const init: RequestInit = { method };
  if (body !== undefined) {
    // A browser would call it text, and the server refuses what is not declared as JSON.
    const headers = new settings.Headers();
    headers.set('Content-Type', 'application/json');
    Object.assign(init, { headers, body: JSON.stringify(body) });
  }
  let response: Response;
  let text: string;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
    text = await response.text();
  } catch (reason) {
    throw new ApiError(0, 'NetworkError', `The Jupyter server does not answer (${String(reason)})`);
  }
  const data = parse(text);
  if (!response.ok) {
    throw refusal(response, data);
  }
  if (data === undefined && response.status !== 204) {
    throw new ApiError(response.status, 'BadAnswer', `The server's answer to ${path} is not JSON`);
  }
  return data as T;
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
  const { error, message, errors } = (data ?? {}) as Partial<ErrorJSON> & { errors?: unknown };
  if (typeof message === 'string' && message) {
    const name = typeof error === 'string' ? error : 'Error';
    return new ApiError(response.status, name, message, fieldErrors(errors));
  }
  const hint =
    response.status === 404
      ? 'The jupyter_wf server extension does not answer; "jupyter server extension list" shows whether it is enabled'
      : `The server refused: ${response.status} ${response.statusText}`;
  return new ApiError(response.status, 'Error', hint);
}

function fieldErrors(errors: unknown): FieldErrorJSON[] {
  return (Array.isArray(errors) ? (errors as unknown[]) : []).filter(
    (item): item is FieldErrorJSON =>
      typeof item === 'object' &&
      item !== null &&
      typeof (item as FieldErrorJSON).field === 'string' &&
      typeof (item as FieldErrorJSON).message === 'string'
  );
}

/** What to show to people of anything that was thrown. */
export function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
