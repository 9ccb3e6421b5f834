import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Plan } from '../../../core/operation/plan.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { createFault, eventFinish, eventStart } from '../wire/instance-actions.ts';
import { type NovaInstance, saveInstance } from '../wire/instances.ts';
import { isNova, isTaskStateError, novaError } from '../wire/nova-errors.ts';
import { type Flow, inOrder, type Stage, sentInstance } from './flow.ts';
import { tellOfFailure, withNotifications } from './notify.ts';
import { currentInstance, ifThere } from './nova-record.ts';

/** What nova is told where a flow was taken back. */
export interface FailurePolicy {
  /** Whether a fault is written; nova writes one for most methods. */
  readonly fault: boolean;
  /** The server's state after it; undefined: as it is. */
  vmState?(error: DpuError, flow: Flow): string | undefined;
  /** Told instead of all this but the event: what a build does to be tried elsewhere. */
  instead?(flow: Flow, error: DpuError, signal: AbortSignal, wayBack: WayBack): Promise<void>;
}

/** How far a flow came, and how far back. */
export interface WayBack {
  /** Whether a stage had ended. */
  reached(stage: string): boolean;
  /** Stages that could not be taken back. */
  readonly left: readonly string[];
}

/** Fault, task state taken off, the server's state as it was (nova's reverts_task_state and wrap_instance_fault). */
export const revert: FailurePolicy = { fault: true };

/** As `revert`, and the server is in error (nova's _error_out_instance_on_exception). */
export const errorOut: FailurePolicy = { fault: true, vmState: () => 'error' };

/** Names of the first and of the last stage. */
export const bracketStages = { begin: 'event', told: 'told' } as const;

/** What a bracketed flow is made of. */
export interface BracketOptions {
  readonly failure: FailurePolicy;
  /** From this stage on there is no way back; the last one unless told. */
  readonly pivot?: string;
  /** Only while the server is this host's: a request may have waited in its queue while the host was down, and the server has been evacuated since. */
  readonly ours?: boolean;
  /** What a call answers, from the stages. */
  result?(output: (stage: string) => Json): Json;
}

/**
 * The stages inside of the instance action's event. A flow that fails is undone, last of all its first stage, which tells nova; one that
 * was cancelled (a delete overtook it) tells nothing but the event's end, since the server's state is the delete's by then.
 */
export function bracketed(flow: Flow, stages: readonly Stage[], options: BracketOptions): Plan {
  const { event } = flow;
  const { ours = false } = options;
  const begin: Stage = {
    name: bracketStages.begin,
    async run({ signal }) {
      if (event !== null) await ifThere(eventStart(flow.conductor(signal), flow.instance, event, flow.settings.host));
      if (ours) requireOurs(flow, await currentInstance(flow.conductor(signal), flow.instance));
      return undefined;
    },
    async undo({ signal, failure, output, left }) {
      const error = failure();
      const wayBack: WayBack = { reached: (stage) => output(stage) !== null, left: left() };
      if (error !== null) flow.note(error);
      if (error !== null) {
        await tellOfFailure(flow, error, signal);
        await tellFailure(flow, error, options.failure, signal, wayBack);
      }
      await endEvent(flow, signal, error ?? new DpuError('conflict', 'another request has overtaken it'));
    },
  };
  const told: Stage = {
    name: bracketStages.told,
    async run({ signal }) {
      await endEvent(flow, signal);
      return undefined;
    },
  };
  const plan = inOrder(withNotifications(flow, [begin, ...stages, told]), options.pivot ?? told.name);
  return options.result === undefined ? plan : { ...plan, result: options.result };
}

/**
 * Whether a server that was on this host when the request was made is no other host's now: its volumes and ports would be taken from that one.
 * @throws InstanceNotFound as nova's class: it is not here.
 */
export function requireOurs(flow: Flow, now: NovaInstance | undefined): void {
  const { host } = flow.settings;
  if (sentInstance(flow).host !== host || now === undefined || now.host === host || now.host === null) return;
  flow.parts.log.warn('a request for a server that is on another host by now is refused', { flow: flow.id });
  throw novaError('InstanceNotFound', { instance_id: flow.instance });
}

/** Ends the action's event, with an error where there is one. */
export async function endEvent(flow: Flow, signal: AbortSignal, error?: DpuError): Promise<void> {
  if (flow.event !== null) await ifThere(eventFinish(flow.conductor(signal), flow.instance, flow.event, error));
}

/** Writes what nova expects of a failed method. Somebody else's server, or one that is gone, is left alone. */
export async function tellFailure(
  flow: Flow,
  error: DpuError,
  policy: FailurePolicy,
  signal: AbortSignal,
  wayBack: WayBack,
): Promise<void> {
  if (isTaskStateError(error) || isNova(error, 'InstanceNotFound', 'UnexpectedTaskStateError')) return;
  if (policy.instead !== undefined) {
    await policy.instead(flow, error, signal, wayBack);
    return;
  }
  if (policy.fault) await writeFault(flow, error, signal);
  await putBack(flow, policy.vmState?.(error, flow), signal);
}

/** Writes the fault that users see of the server; none for one that nova has no row of (any more). */
export async function writeFault(flow: Flow, error: DpuError, signal: AbortSignal): Promise<void> {
  const conductor = flow.conductor(signal);
  try {
    await ifThere(createFault(conductor, flow.instance, flow.settings.host, error));
  } catch (failure) {
    // nova's database says it by a foreign key, which is no error of nova's own
    if (isAway(failure) || (await currentInstance(conductor, flow.instance)) !== undefined) throw failure;
  }
}

/**
 * Takes the task state off, and sets the server's state where one is given, with `more` fields. A server that is being deleted stays the delete's
 * unless told (`evenDeleting`: we are the delete): the task state is compared with what was read.
 */
export async function putBack(
  flow: Flow,
  vmState: string | undefined,
  signal: AbortSignal,
  { more = {}, evenDeleting = false }: { readonly more?: JsonObject; readonly evenDeleting?: boolean } = {},
): Promise<void> {
  const conductor = flow.conductor(signal);
  const now = await currentInstance(conductor, flow.instance);
  if (now === undefined) return;
  if (now.task_state === 'deleting' && !evenDeleting) return;
  if (now.task_state === 'soft-deleting' && flow.method !== 'soft_delete_instance') return;
  const set = { ...more, task_state: null, ...(vmState === undefined ? {} : { vm_state: vmState }) };
  try {
    await ifThere(saveInstance(conductor, flow.instance, set, { expectedTaskState: [now.task_state, null] }));
  } catch (error) {
    if (isTaskStateError(error)) return; // somebody else has it since we looked
    throw error;
  }
}

/** Whether an error is no reason to give up: the peer was away. */
export function isAway(error: unknown): boolean {
  return hasCode(error, 'unavailable') || hasCode(error, 'timeout') || hasCode(error, 'busy');
}
