import type { JsonObject } from '../../../core/units.ts';
import type { Conductor } from './conductor.ts';
import { isPrimitive, listObjects, nullable, objectOf, type Primitive, sparse, text } from './objects.ts';
import { versionOf } from './releases.ts';

/** One run of a task for a period, of one host. Times are nova's: whole seconds, UTC. */
export interface TaskRun {
  readonly task: string;
  readonly host: string;
  readonly begin: string;
  readonly end: string;
}

/** `RUNNING` or `DONE`. */
const read = objectOf('TaskLog', { state: nullable(text) });

/** What nova has of a task: its state; undefined where it never began. */
export async function taskState(
  conductor: Conductor,
  { task, host, begin, end }: TaskRun,
): Promise<string | null | undefined> {
  const answer = await conductor.classAction('TaskLog', 'get', [task, argument(begin), argument(end), host]);
  return isPrimitive(answer) ? read(answer, 'task_log').state : undefined;
}

/** Times as arguments, with microseconds and no zone (nova's serialize_args). */
function argument(date: string): string {
  return date.replace('Z', '.000000');
}

async function log(conductor: Conductor, run: TaskRun, method: string, changes: JsonObject): Promise<void> {
  const { task, host, begin, end } = run;
  const version = versionOf(conductor.release, 'TaskLog');
  const values = { task_name: task, host, period_beginning: begin, period_ending: end, ...changes };
  await conductor.objectAction(sparse('TaskLog', version, {}, values), method);
}

/** Says that a task began with so many items. @throws where it has begun before (TaskAlreadyRunning). */
export async function beginTask(conductor: Conductor, run: TaskRun, items: number, message: string): Promise<void> {
  await log(conductor, run, 'begin_task', { task_items: items, message });
}

/** Says that a task ended. @throws where it never began (TaskNotRunning). */
export async function endTask(conductor: Conductor, run: TaskRun, errors: number, message: string): Promise<void> {
  await log(conductor, run, 'end_task', { errors, message });
}

/** Servers of a host that lived in a time, deleted ones too: as nova sends them. */
export async function listActiveInWindow(
  conductor: Conductor,
  { host, begin, end }: Pick<TaskRun, 'host' | 'begin' | 'end'>,
): Promise<readonly Primitive[]> {
  const attributes = ['system_metadata', 'info_cache', 'metadata', 'flavor'];
  const answer = await conductor.classAction(
    'InstanceList',
    '_get_active_by_window_joined',
    [begin, end, null, host, attributes],
    { use_slave: true, limit: null, marker: null },
  );
  return listObjects('InstanceList', answer, 'instances');
}
