import { DpuError } from '../../core/errors.ts';
import type { OperationKind } from '../../core/instance-state.ts';
import type { Plan } from '../../core/operation/plan.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { JsonObject } from '../../core/units.ts';
import { readPasswordInput } from '../devices/guest-input.ts';
import { resetPasswordPlan } from '../devices/guest-steps.ts';
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
import { qosPlan } from '../devices/qos.ts';
import { readRebuildInput, readRescueInput, readUnrescueInput } from '../devices/rebuild-input.ts';
import { resizeVolumePlan } from '../devices/resize-volume.ts';
import { snapshotPlan } from '../devices/snapshot.ts';
import { attachInterfacePlan, attachVolumePlan, detachInterfacePlan, detachVolumePlan } from './attach.ts';
import { buildPlan } from './build.ts';
import { type BmDeadlines, defaultDeadlines } from './deadlines.ts';
import { destroyPlan } from './destroy.ts';
import { rememberPower } from './known-power.ts';
import type { BmParts } from './parts.ts';
import { rebootPlan, resetPlan, startPlan, stopPlan } from './power-plans.ts';
import { rebuildPlan } from './rebuild.ts';
import { rescuePlan, unrescuePlan } from './rescue.ts';

/** What the bare-metal driver is made of. */
export interface BmDriverOptions extends Omit<BmParts, 'deadlines' | 'diskType'> {
  /** Those that differ from the default. */
  readonly deadlines?: Partial<BmDeadlines>;
}

type PlanMaker = (parts: BmParts, input: JsonObject) => Plan;

/** Kind -> plan version -> its steps. A released version stays until no stored operation can have it. */
const plans: Partial<Record<OperationKind, Readonly<Record<number, PlanMaker>>>> = {
  build: {
    1: (parts, input) => buildPlan(parts, readBuildInput(input), 1),
    2: (parts, input) => buildPlan(parts, readBuildInput(input), 2),
  },
  destroy: {
    1: (parts, input) => destroyPlan(parts, readDestroyInput(input), 1),
    2: (parts, input) => destroyPlan(parts, readDestroyInput(input), 2),
  },
  start: { 1: (parts, input) => startPlan(parts, readPowerInput(input)) },
  stop: { 1: (parts, input) => stopPlan(parts, readPowerInput(input)) },
  reboot: {
    1: (parts, input) => rebootPlan(parts, readPowerInput(input)),
    2: (parts, input) => resetPlan(parts, readPowerInput(input)),
  },
  rebuild: { 1: (parts, input) => rebuildPlan(parts, readRebuildInput(input)) },
  rescue: { 1: (parts, input) => rescuePlan(parts, readRescueInput(input)) },
  unrescue: { 1: (parts, input) => unrescuePlan(parts, readUnrescueInput(input)) },
  reset_admin_password: { 1: (parts, input) => resetPasswordPlan(parts, readPasswordInput(input)) },
  attach_interface: { 1: (parts, input) => attachInterfacePlan(parts, readAttachInterfaceInput(input)) },
  detach_interface: { 1: (parts, input) => detachInterfacePlan(parts, readDetachInput(input)) },
  attach_volume: { 1: (parts, input) => attachVolumePlan(parts, readAttachVolumeInput(input)) },
  set_interface_qos: { 1: (parts, input) => qosPlan(parts, readQosInput(input)) },
  resize_volume: { 1: (parts, input) => resizeVolumePlan(parts, readResizeInput(input)) },
  create_snapshot: { 1: (parts, input) => snapshotPlan(parts, readSnapshotInput(input)) },
  detach_volume: { 1: (parts, input) => detachVolumePlan(parts, readDetachInput(input)) },
};

/** The version that new operations get. */
const newest: Partial<Record<OperationKind, number>> = Object.fromEntries(
  Object.entries(plans).map(([kind, versions]) => [kind, Math.max(...Object.keys(versions).map(Number))]),
);

/** The driver of a bare-metal node: the whole host is one instance's, its disks and NICs are functions of the card. */
export function createBmDriver({ deadlines, ...rest }: BmDriverOptions): ComputeDriver {
  const power = rememberPower(rest.power);
  const parts: BmParts = { ...rest, power, diskType: 'PF', deadlines: { ...defaultDeadlines, ...deadlines } };
  return {
    nodeType: 'BM',
    planVersion: (kind) => newest[kind] ?? null,
    plan({ kind, planVersion }, input) {
      const make = plans[kind]?.[planVersion];
      if (!make) {
        throw new DpuError('unsupported', `this release has no version ${planVersion} of the ${kind} plan`);
      }
      return make(parts, input);
    },
    inventory: (signal) => power.inventory(signal),
    hostPower: (signal) => power.getPower(signal),
    lastPower: power.last,
    powerOwner: () => power.owner(),
  };
}
