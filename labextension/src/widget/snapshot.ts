import type { ProgressJSON, RunErrorJSON, RunJSON, StateJSON } from '../api/schema';

/** One child of the run, as the kernel's snapshot has it. */
export interface RowJSON {
  id: string;
  name: string;
  kind: string;
  state: StateJSON;
  attempt: number;
  max_attempts: number;
  started_at: string | null;
  ended_at: string | null;
  last_log: string | null;
  error: RunErrorJSON | null;
  progress: ProgressJSON | null;
}

/** The widget's synced trait `view`: one snapshot of a run and its children. */
export interface ViewJSON {
  run: RunJSON;
  tasks: RowJSON[];
  more: number;
  last_log: string | null;
  progress: ProgressJSON;
  now: string;
  live: boolean;
  can_retry: boolean;
}

/** What the widget sends to the kernel. */
export interface RunViewMessage {
  type: 'cancel' | 'retry';
  run_id: string;
}

/** The part of anywidget's model that the widget uses. */
export interface WidgetModel {
  get(name: 'view'): Partial<ViewJSON> | undefined;
  send(message: RunViewMessage): void;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
}

/** Whether a snapshot is there: before the first one the trait is an empty object. */
export function isView(value: Partial<ViewJSON> | undefined): value is ViewJSON {
  return value?.run !== undefined && Array.isArray(value.tasks);
}
