import { ServerConnection } from '@jupyterlab/services';
import { request } from './http';
import type {
  CheckedFormJSON,
  DeploymentJSON,
  DeploymentPageJSON,
  NotebookFormJSON,
  PreviewJSON,
  PreviewRequestJSON,
  RunJSON,
  SaveDeploymentJSON,
  SaveScheduleJSON
} from './schema';

const at = (id: string): string => `deployments/${encodeURIComponent(id)}`;
const scheduleAt = (id: string): string => `schedules/${encodeURIComponent(id)}`;

/** The REST API of deployments and schedules, one method for each route. Every method rejects with `ApiError`. */
export class DeploymentClient {
  constructor(readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  list(): Promise<DeploymentPageJSON> {
    return request(this.settings, 'GET', 'deployments');
  }

  create(body: SaveDeploymentJSON): Promise<DeploymentJSON> {
    return request(this.settings, 'POST', 'deployments', {}, body);
  }

  /** Change what is given; the rest stays as it is. */
  change(id: string, body: SaveDeploymentJSON): Promise<DeploymentJSON> {
    return request(this.settings, 'PATCH', at(id), {}, body);
  }

  /** What is wrong with a new deployment (`id` null), or with changes of one; nothing is stored. */
  check(id: string | null, body: SaveDeploymentJSON): Promise<CheckedFormJSON> {
    return request(this.settings, 'POST', 'schedules/check', { deployment: id }, body);
  }

  async remove(id: string): Promise<void> {
    await request(this.settings, 'DELETE', at(id));
  }

  pause(id: string, reason: string): Promise<DeploymentJSON> {
    return request(this.settings, 'POST', `${at(id)}/pause`, {}, { reason });
  }

  unpause(id: string): Promise<DeploymentJSON> {
    return request(this.settings, 'POST', `${at(id)}/unpause`);
  }

  /** Start a run now; `parameters` go over the deployment's. */
  run(id: string, parameters: Record<string, unknown> = {}): Promise<RunJSON> {
    return request(this.settings, 'POST', `${at(id)}/runs`, {}, { parameters });
  }

  /** Change one schedule of a deployment. */
  changeSchedule(id: string, body: SaveScheduleJSON): Promise<DeploymentJSON> {
    return request(this.settings, 'PATCH', scheduleAt(id), {}, body);
  }

  async removeSchedule(id: string): Promise<void> {
    await request(this.settings, 'DELETE', scheduleAt(id));
  }

  /** What a schedule would do, in words and times, or what is wrong with it. */
  preview(body: PreviewRequestJSON): Promise<PreviewJSON> {
    return request(this.settings, 'POST', 'schedules/preview', {}, body);
  }

  /** What a form for a notebook (a path below the server's root) needs. */
  form(path: string): Promise<NotebookFormJSON> {
    return request(this.settings, 'GET', 'notebooks/form', { path });
  }
}
