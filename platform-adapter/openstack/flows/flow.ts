/**
 * How to add a flow
 *
 * A flow is what one cast of nova (or one call that takes its time) begins: a journaled operation of core's engine, whose kind
 * is nova's method. To add one:
 *
 * 1. Write a `FlowDefinition` in a file of this folder. `read` checks the arguments; `plan` gives the steps; `prepare`, where
 *    there is one, asks nova, Neutron or Cinder for what the steps depend on, and its answer is journaled.
 * 2. Make the plan with `bracketed` (bracket.ts): it begins and ends the instance action's event, and its first step's undo, which
 *    is the last to run, tells nova of a failure: fault, states, event. Between these put stages: `saveStage` (nova-record.ts),
 *    `computeStage` (compute.ts: the use cases of this node), those of ports.ts and block-devices.ts, or your own.
 * 3. Put it into the table (table.ts) under nova's method. The RPC server serves what the table has; what a node can't do
 *    stays in refuse.ts.
 *
 * Rules. Every `run` and `undo` is an ensure: it may be done again after a crash at any moment. A stage asks for its
 * clients (`flow.conductor(signal)` ...) each time, since the user's token lives only as long as the process that received it; after that
 * they act as the service user. Errors that say `unavailable` or `timeout` are tried again inside a stage until its deadline, hours
 * by default; any other takes the flow back. TaskStateError (somebody else has the instance now) takes it back without telling nova a state.
 * What a stage answers is journaled, sealed, and read by later ones as `output(name)`.
 */

import type { DpuError } from '../../../core/errors.ts';
import type { Plan, RetryPolicy, Step, StepContext } from '../../../core/operation/plan.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Random } from '../../../core/ports/random.ts';
import type { Json, JsonObject, OperationId } from '../../../core/units.ts';
import type { ServerNotifier } from '../notifications/notifier.ts';
import type { Cinder, Connector } from '../rest/cinder.ts';
import type { Glance } from '../rest/glance.ts';
import type { Neutron } from '../rest/neutron.ts';
import type { Placement } from '../rest/placement.ts';
import type { CallScope, Conductor, NovaRpc } from '../wire/conductor.ts';
import type { RequestContext, UserCredentials } from '../wire/context.ts';
import type { NovaInstance } from '../wire/instances.ts';
import type { ExternalEvents } from './external-events.ts';

/** The REST services as one caller. */
export interface Services {
  readonly neutron: Neutron;
  readonly cinder: Cinder;
  readonly glance: Glance;
}

/** What a flow may set by configuration. */
export interface FlowSettings {
  /** nova's host: the compute service, and what ports are bound to. */
  readonly host: string;
  /** hypervisor_hostname. */
  readonly node: string;
  readonly vifPluggingTimeoutMs: number;
  readonly vifPluggingIsFatal: boolean;
  /** Type of volumes made from images; null: Cinder's own. */
  readonly volumeType: string | null;
  /** Zone of volumes that are made; null: Cinder's own. */
  readonly availabilityZone: string | null;
  /** What is told to Cinder as the connector of this node. */
  readonly connector: Connector;
  /** nova's instance_usage_audit_period; absent: `month`. */
  readonly usageAuditPeriod?: string;
  /** `BM` or `VM`: some methods are for VMs alone. */
  readonly nodeType: 'BM' | 'VM';
}

/** What all flows work with. */
export interface FlowParts {
  readonly nova: NovaRpc;
  /** As the service user. */
  readonly services: Services;
  /** As a user, with our token as the service token. */
  asUser(credentials: UserCredentials, projectId: string): Services;
  readonly placement: Placement;
  /** The use cases of this node: what hardware does. */
  readonly compute: ComputeService;
  readonly settings: FlowSettings;
  /** Tells who listens to nova; absent: nobody is told. */
  readonly notifier?: ServerNotifier | null;
  /** What Neutron and Cinder told through nova-api while this process lives. */
  readonly events: ExternalEvents;
  /** Told how each build ended, but for those that a delete cut short; absent: nobody counts. */
  readonly buildEnded?: (succeeded: boolean) => void;
  /** The node's uses changed: what nova and Placement know of its resources is compared soon. */
  resourcesChanged(): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** One flow as its plan sees it. */
export interface Flow {
  readonly id: OperationId;
  /** nova's method. */
  readonly method: string;
  /** Name of the instance action's event; null: none. */
  readonly event: string | null;
  /** The server's uuid. */
  readonly instance: string;
  /** What `read` made of nova's arguments. */
  readonly request: JsonObject;
  /** What `prepare` answered; empty where there is none. */
  readonly facts: JsonObject;
  readonly context: RequestContext;
  readonly parts: FlowParts;
  readonly settings: FlowSettings;
  /** For whom another service of nova is asked: the user, whose token goes with it while it is here. */
  scope(signal?: AbortSignal): CallScope;
  /** nova-conductor for the request that began the flow. */
  conductor(signal?: AbortSignal): Conductor;
  /** The same with admin rights. `deleted`: sees what is deleted, too. */
  adminConductor(signal?: AbortSignal, deleted?: 'no' | 'yes'): Conductor;
  /** The services as the user while its token is here, else as the service user. */
  services(): Services;
  /** Keeps the error that takes the flow back, whole, for a caller that waits for the answer. */
  note(error: DpuError): void;
  /** Whether `services` acts as the user: what belongs to its project can be made. */
  hasUser(): boolean;
}

/** What a method's cast becomes. */
export interface FlowDefinition {
  /** Version of the plan that new flows get; a stored flow is planned with its own. */
  readonly planVersion: number;
  /** Name of the instance action's event; `compute_<method>` unless told, null: none. */
  readonly event?: string | null;
  /** Undoes what else is under way for the instance, then runs. Only terminate does. */
  readonly overtakes?: boolean;
  /** The server that the arguments are about, and what is kept of them (sealed). @throws DpuError `invalid`. */
  read(args: Readonly<Record<string, unknown>>): { readonly instance: string; readonly request: JsonObject };
  /** Facts that the plan depends on. @throws DpuError: the flow fails with nothing begun, so rather begin with a stage. */
  prepare?(flow: Flow, signal: AbortSignal): Promise<JsonObject>;
  /** The stages; depends on the flow's request and facts alone. */
  plan(flow: Flow, version: number): Plan;
}

/** A step of a flow: runs after the one before it. */
export interface Stage {
  /** Unique in its flow, stable over releases of a plan version. */
  readonly name: string;
  /** Milliseconds for all tries; hours unless told. */
  readonly deadlineMs?: number;
  readonly retry?: RetryPolicy;
  /** Steps with the same key, of whatever flow, never run at once. */
  readonly exclusive?: string;
  run(context: StepContext): Promise<Json | undefined>;
  undo?(context: StepContext): Promise<void>;
  /**
   * Whether the flow goes back without this undo where a service refuses it for good: what is left is told to operators, and a delete of the
   * server tries again. Never of hardware: nothing behind it may be given away while the instance has it.
   */
  readonly leaves?: boolean;
}

/** How long a service has to make something that it must not be interrupted at, in milliseconds. */
export const makingMs = 25_000;

/**
 * Options of a call that makes, binds or attaches something: it is not cut off when the flow is, since the service would go on with it, behind the back of
 * an undo that looks at once.
 */
export const making = (flow: Flow) => ({ requestId: flow.context.request_id, timeoutMs: makingMs });

/** How long a stage whose peer is away is tried: 6 hours. */
export const patienceMs = 6 * 3_600_000;

/** First after half a second, then slower, up to every half minute. */
export const patientRetry: RetryPolicy = { firstDelayMs: 500, factor: 2, maxDelayMs: 30_000 };

/** A stage as a step of the engine. */
export function stepOf(stage: Stage, after: readonly string[]): Step {
  const { name, deadlineMs = patienceMs, retry = patientRetry, exclusive, undo, leaves = false } = stage;
  return {
    name,
    after,
    deadlineMs,
    retry,
    leaves,
    ...(exclusive === undefined ? {} : { exclusive }),
    async run(context) {
      // every stage that ended says so: an undo tells by it how far the flow came
      return { output: (await stage.run(context)) ?? true };
    },
    ...(undo === undefined
      ? {}
      : {
          async undo(context: StepContext) {
            await undo.call(stage, context);
            return {};
          },
        }),
  };
}

/** Stages one after the other. */
export function inOrder(stages: readonly Stage[], pivot: string): Plan {
  return {
    steps: stages.map((stage, index) =>
      stepOf(
        stage,
        stages
          .slice(0, index)
          .slice(-1)
          .map((each) => each.name),
      ),
    ),
    pivot,
  };
}

/** The server as nova sent it with the request: what it was when the request was made. */
export function sentInstance(flow: Flow): NovaInstance {
  return flow.request.instance as unknown as NovaInstance;
}
