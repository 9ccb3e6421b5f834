import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiArgumentError } from '../errors.ts';
import { NET_FN } from '../message.ts';

/** What the power does when mains come back (IPMI 2.0 28.2). */
export type RestorePolicy = 'always-off' | 'previous' | 'always-on' | 'unknown';

/** Get Chassis Status (IPMI 2.0 28.2). */
export type ChassisStatus = {
  readonly powerOn: boolean;
  readonly powerOverload: boolean;
  readonly powerInterlock: boolean;
  readonly powerFault: boolean;
  readonly powerControlFault: boolean;
  readonly restorePolicy: RestorePolicy;
  /** Why the power last changed; several may be set. */
  readonly lastPowerEvent: {
    readonly acFailed: boolean;
    readonly overload: boolean;
    readonly interlock: boolean;
    readonly fault: boolean;
    readonly onByCommand: boolean;
  };
  readonly intrusion: boolean;
  readonly frontPanelLockout: boolean;
  readonly driveFault: boolean;
  readonly coolingFault: boolean;
  /** Undefined when the BMC does not tell. */
  readonly identify: 'off' | 'temporary' | 'on' | undefined;
};

const POLICIES: readonly RestorePolicy[] = ['always-off', 'previous', 'always-on', 'unknown'];
const IDENTIFY = ['off', 'temporary', 'on', undefined] as const;

const bit = (byte: number, at: number): boolean => ((byte >> at) & 1) === 1;

/** Get Chassis Status (IPMI 2.0 28.2). @throws as `IpmiRequester.request`, and `malformed` */
export async function getChassisStatus(bmc: IpmiRequester, options?: CallOptions): Promise<ChassisStatus> {
  const data = await bmc.request({ netFn: NET_FN.chassis, command: 0x01 }, options);
  const reader = new ByteReader(data, 'Get Chassis Status');
  const power = reader.u8();
  const event = reader.u8();
  const misc = reader.u8();
  return {
    powerOn: bit(power, 0),
    powerOverload: bit(power, 1),
    powerInterlock: bit(power, 2),
    powerFault: bit(power, 3),
    powerControlFault: bit(power, 4),
    restorePolicy: POLICIES[(power >> 5) & 3] ?? 'unknown',
    lastPowerEvent: {
      acFailed: bit(event, 0),
      overload: bit(event, 1),
      interlock: bit(event, 2),
      fault: bit(event, 3),
      onByCommand: bit(event, 4),
    },
    intrusion: bit(misc, 0),
    frontPanelLockout: bit(misc, 1),
    driveFault: bit(misc, 2),
    coolingFault: bit(misc, 3),
    identify: bit(misc, 6) ? IDENTIFY[(misc >> 4) & 3] : undefined,
  };
}

/** Chassis Control's actions (IPMI 2.0 28.3): `soft` asks the operating system by ACPI, `diag` raises a diagnostic interrupt (NMI). */
export const CHASSIS_ACTIONS = { off: 0, on: 1, cycle: 2, reset: 3, diag: 4, soft: 5 } as const;

/** One of them. */
export type ChassisAction = keyof typeof CHASSIS_ACTIONS;

/** Actions that may reach the BMC twice and mean the same. */
const IDEMPOTENT: ReadonlySet<ChassisAction> = new Set(['off', 'on', 'soft']);

/**
 * Chassis Control (IPMI 2.0 28.3). `off`, `on` and `soft` are repeated when no answer comes; `cycle`, `reset` and `diag` are sent
 * once, so that `timeout` and `session-lost` mean that they may have happened. The answer says that the BMC took it, not that it is done.
 */
export async function chassisControl(
  bmc: IpmiRequester,
  action: ChassisAction,
  options: CallOptions = {},
): Promise<void> {
  const request = { netFn: NET_FN.chassis, command: 0x02, data: [CHASSIS_ACTIONS[action]] };
  await bmc.request(request, { ...options, repeatable: IDEMPOTENT.has(action) });
}

/**
 * Chassis Identify (IPMI 2.0 28.5): the light on for 0 to 255 seconds (0 is off), or until told otherwise.
 * @throws `bad-argument`
 */
export async function chassisIdentify(bmc: IpmiRequester, how: number | 'on', options?: CallOptions): Promise<void> {
  if (how !== 'on' && (!Number.isInteger(how) || how < 0 || how > 255)) {
    throw new IpmiArgumentError('identify takes 0 to 255 seconds');
  }
  await bmc.request({ netFn: NET_FN.chassis, command: 0x04, data: how === 'on' ? [0, 1] : [how] }, options);
}
