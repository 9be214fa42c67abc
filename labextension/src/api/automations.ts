import { ServerConnection } from '@jupyterlab/services';
import { request } from './http';
import type {
  AutomationJSON,
  AutomationPageJSON,
  AutomationTestJSON,
  DeliveryPageJSON
} from './schema';

const at = (id: string): string => `automations/${encodeURIComponent(id)}`;

/** The REST API of automations, one method for each route. Every method rejects with `ApiError`. */
export class AutomationClient {
  constructor(readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  list(): Promise<AutomationPageJSON> {
    return request(this.settings, 'GET', 'automations');
  }

  setEnabled(id: string, enabled: boolean): Promise<AutomationJSON> {
    return request(this.settings, 'PATCH', at(id), {}, { enabled });
  }

  /** Send its messages once; what the other actions would do is only said. */
  test(id: string): Promise<AutomationTestJSON> {
    return request(this.settings, 'POST', `${at(id)}/test`);
  }

  /** What it has done and has yet to do, newest first. */
  deliveries(id: string, limit: number): Promise<DeliveryPageJSON> {
    return request(this.settings, 'GET', `${at(id)}/deliveries`, { limit });
  }

  async remove(id: string): Promise<void> {
    await request(this.settings, 'DELETE', at(id));
  }
}
