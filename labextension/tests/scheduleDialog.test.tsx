import { Dialog } from '@jupyterlab/apputils';
import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { ApiError } from '../src/api/client';
import { DeploymentsModel } from '../src/model/deployments';
import { RunsModel } from '../src/model/runs';
import type { SessionTools } from '../src/model/scheduleSession';
import { changeDeployment, runWithParameters, scheduleNotebook } from '../src/pages/scheduleDialog';
import { FakeServer } from './fakes';
import { aDeployment, aRun, settle } from './fixtures';

let server: FakeServer;
let runs: RunsModel;
let deployments: DeploymentsModel;
let tools: SessionTools;

async function later(ms: number): Promise<void> {
  await act(async () => {
    await jest.advanceTimersByTimeAsync(ms);
    await settle();
  });
}

const type = (label: string, value: string): void => {
  fireEvent.change(screen.getByLabelText(label), { target: { value } });
};

beforeEach(() => {
  jest.useFakeTimers();
  server = new FakeServer();
  server.runs = [aRun('r')];
  runs = new RunsModel(server.client, server.openSocket);
  deployments = new DeploymentsModel(server.deployments, runs);
  tools = {
    deployments,
    startNotebook: (path, parameters) => runs.startNotebook(path, parameters)
  };
});

afterEach(() => {
  cleanup();
  act(() => Dialog.flush());
  deployments.dispose();
  runs.dispose();
  jest.useRealTimers();
});

describe('the dialog', () => {
  const button = (): HTMLButtonElement =>
    document.querySelector('.jp-Dialog-button.jp-mod-accept') as HTMLButtonElement;

  // jsdom takes what is in a dialog for hidden.
  const alerts = (): string =>
    [...document.querySelectorAll('[role="alert"]')].map(each => each.textContent).join();

  it('stays open until what is sent is taken', async () => {
    const outcome = scheduleNotebook(tools, 'folder/quick.ipynb');
    await later(10);
    expect(document.querySelector('.jp-Dialog-header')?.textContent).toBe('Schedule quick.ipynb');
    expect(button().textContent).toBe('Schedule');
    type('Name', '');
    await later(10);
    expect(button().disabled).toBe(true);
    type('Name', 'nightly');
    await later(10);
    server.refusal = new ApiError(422, 'ValidationFailed', 'no', [
      { field: 'name', message: 'not that' }
    ]);
    fireEvent.click(button());
    await later(20);
    expect(alerts()).toBe('not that');
    server.refusal = null;
    type('Name', 'weekly');
    await later(10);
    fireEvent.click(button());
    await later(20);
    expect(await outcome).toEqual({ saved: 'weekly' });
    expect(document.querySelector('.jp-Dialog')).toBeNull();
  });

  it('leaves the parameters alone where the notebook is gone', async () => {
    tools.deployments.client.form = () =>
      Promise.reject(new ApiError(404, 'TargetError', 'there is no such notebook'));
    const { deployment } = aDeployment('d', { parameters: { year: 1999 } });
    const outcome = changeDeployment(tools, deployment);
    await later(10);
    expect(document.body.textContent).toContain('They stay as they are');
    type('Name', 'renamed');
    await later(10);
    fireEvent.click(button());
    await later(20);
    expect(await outcome).toEqual({ saved: 'renamed' });
    expect(server.bodies[0]).toMatchObject({ name: 'renamed', parameters: { year: 1999 } });
  });

  it('gives nothing where it is closed', async () => {
    const outcome = changeDeployment(tools, aDeployment('d').deployment);
    await later(10);
    expect(button().textContent).toBe('Save');
    fireEvent.click(screen.getByText('Cancel'));
    await later(10);
    expect(await outcome).toBeNull();
    expect(server.bodies).toEqual([]);
  });

  it('runs a deployment with other parameters, and shows what the server says of them', async () => {
    const { deployment } = aDeployment('d', { parameters: { year: 2014 } });
    const outcome = runWithParameters(tools, deployment);
    await later(10);
    expect((screen.getByLabelText('year') as HTMLInputElement).value).toBe('2014');
    type('city', 'Bergen');
    server.refusal = new ApiError(422, 'ParameterError', 'no', [
      { field: 'parameters.city', message: 'no such city' }
    ]);
    fireEvent.click(button());
    await later(20);
    expect(alerts()).toBe('no such city');
    server.refusal = null;
    type('city', 'Oslo');
    type('year', '2015');
    await later(10);
    fireEvent.click(button());
    await later(20);
    expect(server.asked).toContain('run d {"year":2015}');
    expect((await outcome)?.id).toBe('r');
  });
});
