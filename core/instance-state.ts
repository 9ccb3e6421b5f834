/** The instance state machine as one table; `docs/instance-states.md` is generated from it. */

import type { Instance } from '../schemas/generated/instance.ts';
import type { Operation } from '../schemas/generated/operation.ts';

/** The state of an instance. */
export type InstanceState = Instance['state'];

/** What an operation does to an instance. */
export type OperationKind = Operation['kind'];

/** How an operation ended for the instance. */
export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'stuck';

/** A state, or `same`: the one before. */
type Target = InstanceState | 'same';

interface Transition {
  /** States that the operation is allowed in. */
  readonly from: readonly InstanceState[];
  /** While it runs. */
  readonly during: Target;
  /** At its end. `failed` and `cancelled`: undone. `stuck`: an operator is needed. */
  readonly succeeded: Target;
  readonly failed: Target;
  readonly cancelled: Target;
  readonly stuck: Target;
}

const settled = ['active', 'stopped', 'paused', 'suspended', 'rescued', 'error'] as const;
const unchanged = { during: 'same', succeeded: 'same', failed: 'same', cancelled: 'same', stuck: 'same' } as const;

/** Operation -> where it may begin and where it leads. */
export const transitions: Readonly<Record<OperationKind, Transition>> = {
  build: {
    from: [],
    during: 'building',
    succeeded: 'active',
    failed: 'error',
    cancelled: 'deleted',
    stuck: 'error',
  },
  destroy: {
    from: ['building', 'migrating', 'deleting', ...settled],
    during: 'deleting',
    succeeded: 'deleted',
    failed: 'error',
    cancelled: 'same',
    stuck: 'deleting',
  },
  start: { ...unchanged, from: ['stopped'], succeeded: 'active' },
  stop: { ...unchanged, from: ['active', 'paused'], succeeded: 'stopped' },
  reboot: { ...unchanged, from: ['active', 'stopped', 'paused'], succeeded: 'active' },
  attach_interface: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  detach_interface: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  attach_volume: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  detach_volume: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  pause: { ...unchanged, from: ['active'], succeeded: 'paused' },
  unpause: { ...unchanged, from: ['paused'], succeeded: 'active' },
  suspend: { ...unchanged, from: ['active'], succeeded: 'suspended' },
  resume: { ...unchanged, from: ['suspended'], succeeded: 'active' },
  rebuild: { ...unchanged, from: ['active', 'stopped', 'rescued', 'error'], succeeded: 'active', stuck: 'error' },
  rescue: { ...unchanged, from: ['active', 'stopped'], succeeded: 'rescued' },
  unrescue: { ...unchanged, from: ['rescued'], succeeded: 'active' },
  resize: { ...unchanged, from: ['active', 'stopped'] },
  create_snapshot: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  resize_volume: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  reset_admin_password: { ...unchanged, from: ['active', 'stopped'] },
  set_interface_qos: { ...unchanged, from: ['active', 'stopped', 'paused'] },
  prepare_migration: { ...unchanged, from: ['active', 'stopped'], succeeded: 'migrating' },
  finish_migration: { ...unchanged, from: ['migrating'], succeeded: 'deleted' },
  abort_migration: { ...unchanged, from: ['migrating'], succeeded: 'active' },
};

/** What is seen of the host, or of a machine, while no operation runs: its user may shut it down or start it. */
export const observations: Readonly<Record<'on' | 'off', Partial<Record<InstanceState, InstanceState>>>> = {
  off: { active: 'stopped', paused: 'stopped', suspended: 'stopped' },
  on: { stopped: 'active', suspended: 'active' },
};

/** Whether an operation may begin; `null` is an instance that does not exist yet. */
export function mayBegin(kind: OperationKind, state: InstanceState | null): boolean {
  return state === null ? kind === 'build' : transitions[kind].from.includes(state);
}

/** The state while an operation of this kind runs. */
export function stateDuring(kind: OperationKind, before: InstanceState): InstanceState {
  return resolve(transitions[kind].during, before);
}

/** The state after an operation; `before` is the one that it began in. */
export function stateAfter(kind: OperationKind, outcome: Outcome, before: InstanceState): InstanceState {
  return resolve(transitions[kind][outcome], before);
}

/** The state after the host was seen on or off, with no operation running. */
export function stateObserved(power: 'on' | 'off', before: InstanceState): InstanceState {
  return observations[power][before] ?? before;
}

function resolve(target: Target, before: InstanceState): InstanceState {
  return target === 'same' ? before : target;
}
