import { ApiError, messageOf, WorkflowClient } from '../src/api/client';
import { someSettings } from './fakes';

interface Asked {
  url: string;
  method: string;
  body: string;
  authorization: string | null;
  type: string | null;
  contentType: string | null;
}

/** A client whose server answers as told; `asked` notes the requests. */
function clientWith(status: number, body: string, asked: Asked[] = []): WorkflowClient {
  class PlainHeaders {
    readonly map = new Map<string, string>();
    constructor(given: Record<string, string> = {}) {
      Object.entries(given).forEach(([name, value]) => this.append(name, value));
    }
    append(name: string, value: string): void {
      this.map.set(name.toLowerCase(), value);
    }
    set(name: string, value: string): void {
      this.append(name, value);
    }
    has(name: string): boolean {
      return this.map.has(name.toLowerCase());
    }
    get(name: string): string | null {
      return this.map.get(name.toLowerCase()) ?? null;
    }
  }
  class PlainRequest {
    readonly headers: PlainHeaders;
    readonly method: string;
    readonly body: string;
    constructor(
      readonly url: string,
      init: RequestInit
    ) {
      this.headers = new PlainHeaders(init.headers as Record<string, string> | undefined);
      this.method = init.method ?? 'GET';
      this.body = String(init.body ?? '');
    }
  }
  return new WorkflowClient(
    someSettings({
      Headers: PlainHeaders as unknown as typeof Headers,
      Request: PlainRequest as unknown as typeof Request,
      fetch: ((request: PlainRequest) => {
        const { url, method, body: sent } = request;
        asked.push({
          url,
          method,
          body: sent,
          authorization: request.headers.get('Authorization'),
          type: request.headers.get('Content-Type'),
          contentType: request.headers.get('Content-Type')
        });
        return Promise.resolve({
          ok: status < 400,
          status,
          statusText: 'Told so',
          text: () => Promise.resolve(body)
        });
      }) as unknown as typeof fetch
    })
  );
}

/** The address without the number that JupyterLab adds against caches. */
const address = (asked: Asked): string => asked.url.replace(/[?&]\d+$/, '');

describe('WorkflowClient', () => {
  it('asks with the server settings, leaving out what is not wanted', async () => {
    const asked: Asked[] = [];
    const client = clientWith(200, '{"items":[],"next":null}', asked);
    await client.runs({ states: ['FAILED', 'CRASHED'], text: 'a b&c', roots: true, cursor: null });
    expect(address(asked[0])).toBe(
      'http://here/base/jupyter_wf/api/runs?state=FAILED%2CCRASHED&text=a%20b%26c&roots=1'
    );
    expect(asked[0]).toMatchObject({ method: 'GET', authorization: 'token secret' });
  });

  it('reads a whole tree', async () => {
    const asked: Asked[] = [];
    await clientWith(200, '{"seq":1}', asked).tree('a/b');
    expect(address(asked[0])).toBe('http://here/base/jupyter_wf/api/runs/a%2Fb/tree');
  });

  it('starts a notebook with a JSON body, and sends none with a request to a run', async () => {
    const asked: Asked[] = [];
    const client = clientWith(201, '{"id":"r"}', asked);
    await expect(
      client.start({ notebook: 'x.ipynb', parameters: { year: 2013 } })
    ).resolves.toEqual({ id: 'r' });
    expect(asked[0].type).toBe('application/json');
    expect(JSON.parse(asked[0].body)).toEqual({ notebook: 'x.ipynb', parameters: { year: 2013 } });
    expect(asked[0].contentType).toBe('application/json');
    await client.cancel('r');
    await client.retry('r');
    await client.goOn('r', 'resume');
    await client.goOn('r', 'repair');
    await client.rerun('r');
    await client.copyNotebook('r', 'snapshot');
    expect(
      asked.slice(1).map(item => [item.method, address(item).split('/api/')[1], item.body])
    ).toEqual([
      ['POST', 'runs/r/cancel', ''],
      ['POST', 'runs/r/retry', ''],
      ['POST', 'runs/r/resume', ''],
      ['POST', 'runs/r/repair', ''],
      ['POST', 'runs/r/rerun', ''],
      ['POST', 'runs/r/notebook/copy', '{"what":"snapshot"}']
    ]);
  });

  it("rejects with the server's own words", async () => {
    const client = clientWith(409, '{"error":"RunFinished","message":"run r is FAILED"}');
    await expect(client.retry('r')).rejects.toEqual(
      new ApiError(409, 'RunFinished', 'run r is FAILED')
    );
    await expect(client.retry('r')).rejects.toMatchObject({ status: 409, error: 'RunFinished' });
  });

  it('says what may be wrong where the answer is not ours', async () => {
    await expect(clientWith(404, '<html>').meta()).rejects.toThrow(
      'server extension does not answer'
    );
    await expect(clientWith(502, '<html>').meta()).rejects.toThrow('502 Told so');
    await expect(clientWith(200, '<html>').meta()).rejects.toThrow('not JSON');
  });

  it('says so when nobody answers', async () => {
    const client = new WorkflowClient(
      someSettings({
        Request: class {} as unknown as typeof Request,
        Headers: Map as unknown as typeof Headers
      })
    );
    await expect(client.meta()).rejects.toMatchObject({ status: 0 });
  });

  it('makes a text of whatever was thrown', () => {
    expect(messageOf(new Error('why'))).toBe('why');
    expect(messageOf('odd')).toBe('odd');
  });
});
