import { UseSignal } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import * as React from 'react';
import { ParameterForm } from '../components/schedule/ParameterForm';
import { ScheduleFields } from '../components/schedule/ScheduleFields';
import type { DeploymentJSON, NotebookFormJSON, RunJSON } from '../api/schema';
import { ApiError, messageOf } from '../api/http';
import { plain } from '../draw/text';
import {
  type Faults,
  formData,
  type FormData,
  parameterFields,
  type ParameterFields,
  readForm
} from '../model/parameters';
import { sortErrors, type Subject } from '../model/scheduleForm';
import { type Outcome, ScheduleSession, type SessionTools } from '../model/scheduleSession';
import { showForm } from './formDialog';

/** What the form of a notebook or of a deployment is about, once the server has told what it needs. */
async function subjectOf(
  tools: SessionTools,
  path: string | null,
  deployment: DeploymentJSON | null
): Promise<Subject> {
  const form: NotebookFormJSON | null =
    path === null ? null : await tools.deployments.client.form(path);
  return {
    path,
    form,
    fields: parameterFields(form?.schema ?? {}, form?.defaults ?? {}),
    deployment
  };
}

/** The form for a new schedule of a notebook (a path below the server's root). Rejects with `ApiError`. */
export async function scheduleNotebook(tools: SessionTools, path: string): Promise<Outcome | null> {
  const [subject] = await Promise.all([subjectOf(tools, path, null), tools.deployments.reload()]);
  const name = path.split('/').pop() ?? path;
  return openDialog(tools, subject, `Schedule ${plain(name)}`);
}

/** What the form of a deployment is about: its notebook may be gone or unreadable, the rest can be changed still. */
async function subjectOfOne(tools: SessionTools, deployment: DeploymentJSON): Promise<Subject> {
  try {
    return await subjectOf(tools, deployment.path, deployment);
  } catch (reason) {
    if (reason instanceof ApiError && reason.status >= 400 && reason.status < 500) {
      return subjectOf(tools, null, deployment);
    }
    throw reason;
  }
}

/** The same form for a deployment that is there. Rejects with `ApiError`. */
export async function changeDeployment(
  tools: SessionTools,
  deployment: DeploymentJSON
): Promise<Outcome | null> {
  const subject = await subjectOfOne(tools, deployment);
  return openDialog(tools, subject, `Change ${plain(deployment.name)}`);
}

async function openDialog(
  tools: SessionTools,
  subject: Subject,
  title: string
): Promise<Outcome | null> {
  const session = new ScheduleSession(tools, subject);
  try {
    return await showForm<Outcome>({
      title,
      changed: session.changed,
      ready: () => session.view.ready,
      label: () => {
        const { form, subject: about, busy } = session.view;
        const word =
          form.when === 'now' ? 'Run now' : about.deployment === null ? 'Schedule' : 'Save';
        return busy ? 'Wait…' : word;
      },
      submit: () => session.submit(),
      body: () => (
        <UseSignal signal={session.changed}>
          {() => (
            <ScheduleFields
              view={session.view}
              onChange={changes => session.set(changes)}
              onChangeExisting={() => session.changeExisting()}
            />
          )}
        </UseSignal>
      ),
      focus: '#jp-wf-name'
    });
  } finally {
    session.dispose();
  }
}

/** Ask for the parameters of one run of a deployment, and start it. Rejects with `ApiError`. */
export async function runWithParameters(
  tools: SessionTools,
  deployment: DeploymentJSON
): Promise<RunJSON | null> {
  const { fields } = await subjectOfOne(tools, deployment);
  const changed = new Signal<object, void>({});
  const its = { ...fields, defaults: { ...fields.defaults, ...deployment.parameters } };
  let data: FormData = formData(its, {});
  let refused: Faults = {};
  let problem: string | null = null;
  let busy = false;
  const read = (): ReturnType<typeof readForm> => readForm(its, data, {});
  return showForm<RunJSON>({
    title: `Run ${plain(deployment.name)} now`,
    changed,
    ready: () => !busy && Object.keys(read().faults).length === 0,
    label: () => 'Run now',
    submit: async () => {
      busy = true;
      changed.emit();
      try {
        return await tools.deployments.client.run(deployment.id, read().parameters);
      } catch (reason) {
        [refused, problem] = refusedBy(reason, fields);
        return null;
      } finally {
        busy = false;
        changed.emit();
      }
    },
    body: () => (
      <UseSignal signal={changed}>
        {() => (
          <div className="jp-WfForm">
            {problem !== null && (
              <div className="jp-WfForm-problem" role="alert">
                {plain(problem)}
              </div>
            )}
            {fields.names.length === 0 ? (
              <p>It has no parameters that can be changed here.</p>
            ) : (
              <ParameterForm
                fields={its}
                data={data}
                faults={{ ...refused, ...read().faults }}
                onChange={typed => {
                  data = typed;
                  [refused, problem] = [{}, null];
                  changed.emit();
                }}
              />
            )}
          </div>
        )}
      </UseSignal>
    )
  });
}

function refusedBy(reason: unknown, fields: ParameterFields): [Faults, string | null] {
  const given = reason instanceof ApiError ? reason.fields : [];
  const { faults, rest } = sortErrors(given, fields);
  const ofParameters = Object.entries(faults).map(([name, fault]) => [
    name.replace(/^parameters\./, ''),
    fault
  ]);
  const shown = given.length > 0 && rest.length === 0;
  return [Object.fromEntries(ofParameters) as Faults, shown ? null : messageOf(reason)];
}
