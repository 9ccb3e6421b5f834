import { DpuError } from '../../core/errors.ts';
import type { OperationKind } from '../../core/instance-state.ts';
import type { Plan } from '../../core/operation/plan.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { PowerState } from '../../core/ports/power-controller.ts';
import type { JsonObject } from '../../core/units.ts';
import { readPasswordInput } from '../devices/guest-input.ts';
import {
  readAttachInterfaceInput,
  readAttachVolumeInput,
  readBuildInput,
  readDestroyInput,
  readDetachInput,
  readPowerInput,
  readQosInput,
  readResizeInput,
  readSnapshotInput,
} from '../devices/input.ts';
import {
  readAbortMigrationInput,
  readFinishMigrationInput,
  readInstanceId,
  readPrepareMigrationInput,
  readResizeMachineInput,
} from '../devices/machine-input.ts';
import { finishMigrationPlan } from '../devices/migration.ts';
import { qosPlan } from '../devices/qos.ts';
import { readRebuildInput, readRescueInput, readUnrescueInput } from '../devices/rebuild-input.ts';
import { resizeVolumePlan } from '../devices/resize-volume.ts';
import { snapshotPlan } from '../devices/snapshot.ts';
import { attachInterfacePlan, attachVolumePlan, detachInterfacePlan, detachVolumePlan } from './attach.ts';
import { buildPlan } from './build.ts';
import { defaultDeadlines, type VmDeadlines } from './deadlines.ts';
import { destroyPlan } from './destroy.ts';
import { machinesOf } from './machines.ts';
import { abortMigrationPlan, prepareMigrationPlan } from './migration.ts';
import type { VmParts } from './parts.ts';
import { passwordPlan } from './password.ts';
import { pausePlan, rebootPlan, resumePlan, startPlan, stopPlan, suspendPlan, unpausePlan } from './power-plans.ts';
import { rebuildPlan } from './rebuild.ts';
import { rescuePlan, unrescuePlan } from './rescue.ts';
import { resizePlan } from './resize.ts';

/** What the driver of virtual machines is made of. */
export interface VmDriverOptions extends Omit<VmParts, 'deadlines' | 'diskType'> {
  /** Those that differ from the default. */
  readonly deadlines?: Partial<VmDeadlines>;
}

type PlanMaker = (parts: VmParts, input: JsonObject) => Plan;

/** Kind -> plan version -> its steps. A released version stays until no stored operation can have it. */
const plans: Partial<Record<OperationKind, Readonly<Record<number, PlanMaker>>>> = {
  build: { 1: (parts, input) => buildPlan(parts, readBuildInput(input)) },
  destroy: { 1: (parts, input) => destroyPlan(parts, readDestroyInput(input)) },
  start: { 1: (parts, input) => startPlan(parts, readPowerInput(input)) },
  stop: { 1: (parts, input) => stopPlan(parts, readPowerInput(input)) },
  reboot: { 1: (parts, input) => rebootPlan(parts, readPowerInput(input)) },
  pause: { 1: (parts, input) => pausePlan(parts, readInstanceId(input)) },
  unpause: { 1: (parts, input) => unpausePlan(parts, readInstanceId(input)) },
  suspend: { 1: (parts, input) => suspendPlan(parts, readInstanceId(input)) },
  resume: { 1: (parts, input) => resumePlan(parts, readInstanceId(input)) },
  rebuild: { 1: (parts, input) => rebuildPlan(parts, readRebuildInput(input)) },
  rescue: { 1: (parts, input) => rescuePlan(parts, readRescueInput(input)) },
  unrescue: { 1: (parts, input) => unrescuePlan(parts, readUnrescueInput(input)) },
  reset_admin_password: { 1: (parts, input) => passwordPlan(parts, readPasswordInput(input)) },
  resize: { 1: (parts, input) => resizePlan(parts, readResizeMachineInput(input)) },
  attach_interface: { 1: (parts, input) => attachInterfacePlan(parts, readAttachInterfaceInput(input)) },
  detach_interface: { 1: (parts, input) => detachInterfacePlan(parts, readDetachInput(input)) },
  attach_volume: { 1: (parts, input) => attachVolumePlan(parts, readAttachVolumeInput(input)) },
  detach_volume: { 1: (parts, input) => detachVolumePlan(parts, readDetachInput(input)) },
  set_interface_qos: { 1: (parts, input) => qosPlan(parts, readQosInput(input)) },
  resize_volume: { 1: (parts, input) => resizeVolumePlan(parts, readResizeInput(input)) },
  create_snapshot: { 1: (parts, input) => snapshotPlan(parts, readSnapshotInput(input)) },
  prepare_migration: { 1: (parts, input) => prepareMigrationPlan(parts, readPrepareMigrationInput(input)) },
  finish_migration: { 1: (parts, input) => finishMigrationPlan(parts, readFinishMigrationInput(input)) },
  abort_migration: { 1: (parts, input) => abortMigrationPlan(parts, readAbortMigrationInput(input)) },
};

/** The driver of a node of virtual machines: each is made of VFs of the card, which the agent on the host passes through to it. */
export function createVmDriver({ deadlines, ...rest }: VmDriverOptions): ComputeDriver {
  const parts: VmParts = { ...rest, diskType: 'VF', deadlines: { ...defaultDeadlines, ...deadlines } };
  let last: PowerState = 'unknown';
  /** The agent runs on the host: who answers is on. */
  async function heard<Answer>(call: Promise<Answer>): Promise<Answer> {
    last = 'unknown';
    const answer = await call;
    last = 'on';
    return answer;
  }
  return {
    nodeType: 'VM',
    planVersion: (kind) => (plans[kind] ? 1 : null),
    plan({ kind, planVersion }, input) {
      const make = plans[kind]?.[planVersion];
      if (!make) {
        throw new DpuError('unsupported', `this release has no version ${planVersion} of the ${kind} plan`);
      }
      return make(parts, input);
    },
    inventory: (signal) => heard(parts.agent.inventory(signal)),
    hostPower: async (signal) => {
      await heard(parts.agent.inventory(signal));
      return 'on';
    },
    lastPower: () => last,
    powerOwner: () => null,
    machines: machinesOf(parts),
  };
}
