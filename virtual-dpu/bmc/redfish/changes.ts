/** What a client may change: PATCH and POST on the service's resources. */
import { randomUUID } from 'node:crypto';
import { DpuError } from '../../../core/errors.ts';
import { BOOT_TARGETS, type BootSettings, type BootTargetName } from '../boot.ts';
import { type HostControl, POWER_ORDERS, type PowerOrder } from '../host-control.ts';
import type { Persona } from '../personas.ts';
import { type BiosValue, DEFAULT_BIOS, type StateStore } from '../state.ts';
import { isNode, type Node } from './json.ts';
import { Refusal } from './messages.ts';
import { BIOS_SERIAL, type Paths, type Snapshot, shownBootOrder } from './model.ts';

/** What the changes are made to. */
export interface ChangeContext {
  readonly host: HostControl;
  readonly store: StateStore;
  readonly paths: Paths;
  readonly snapshot: Snapshot;
}

/** Carries out a PATCH. @throws Refusal */
export async function applyPatch(path: string, body: Node, context: ChangeContext): Promise<void> {
  if (Object.keys(body).length === 0) throw new Refusal('NoOperation');
  if (path === context.paths.system) return await patchSystem(body, context);
  if (path === context.paths.biosSettings) return patchBios(body, context);
  throw new Refusal('OperationNotAllowed');
}

/** Carries out an action; null when there is none at the path. @throws Refusal */
export async function runAction(
  path: string,
  body: Node,
  context: ChangeContext,
): Promise<{ readonly done: true } | null> {
  if (path === context.paths.reset) await reset(body, context);
  else if (path === context.paths.resetBios) context.store.set({ biosPending: DEFAULT_BIOS });
  else return null;
  return { done: true };
}

/** The body of an Event (schema Event) that tells of a change of power. */
export function powerEvent(system: string, number: number, power: string): Node {
  return {
    '@odata.type': '#Event.v1_9_0.Event',
    Id: String(number),
    Name: 'Event',
    Events: [
      {
        EventId: randomUUID(),
        EventType: 'StatusChange',
        EventTimestamp: new Date().toISOString(),
        MessageId: 'ResourceEvent.1.3.ResourceStateChanged',
        Message: `The state of resource ${system} has changed to ${power}.`,
        MessageArgs: [system, power],
        MessageSeverity: 'OK',
        OriginOfCondition: { '@odata.id': system },
      },
    ],
  };
}

async function reset(body: Node, { host, snapshot }: ChangeContext): Promise<void> {
  const name = 'ComputerSystem.Reset';
  const strange = Object.keys(body).find((key) => key !== 'ResetType');
  if (strange !== undefined) throw new Refusal('ActionParameterUnknown', [name, strange]);
  const { ResetType: type } = body;
  if (type === undefined) throw new Refusal('ActionParameterMissing', [name, 'ResetType']);
  const { persona, power } = snapshot;
  const order = POWER_ORDERS.find((one) => one === type);
  if (order === undefined || !persona.resetTypes.includes(order)) {
    throw new Refusal('ActionParameterValueNotInList', [String(type), 'ResetType', name]);
  }
  if (isThere(order, power)) {
    if (persona.whenThere === 'conflict') throw new Refusal('NoOperation');
    return;
  }
  try {
    await host.order(order);
  } catch (error) {
    if (error instanceof DpuError) throw new Refusal('ResourceInErrorState', [snapshot.facts.serialNumber]);
    throw error;
  }
}

function isThere(order: PowerOrder, power: string): boolean {
  if (order === 'On') return power === 'On';
  return (order === 'ForceOff' || order === 'GracefulShutdown') && power === 'Off';
}

async function patchSystem(body: Node, context: ChangeContext): Promise<void> {
  const { store, host, snapshot } = context;
  const { Boot: boot, AssetTag: assetTag, IndicatorLED: indicator, ...rest } = body;
  const [strange] = Object.keys(rest).filter((key) => !key.startsWith('@'));
  if (strange !== undefined) {
    throw new Refusal('PropertyNotWritable', [strange], `#/${strange}`);
  }
  if (assetTag !== undefined && typeof assetTag !== 'string') throw typeError(assetTag, 'AssetTag');
  if (indicator !== undefined && indicator !== 'Off' && indicator !== 'Lit' && indicator !== 'Blinking') {
    throw new Refusal('PropertyValueNotInList', [String(indicator), 'IndicatorLED'], '#/IndicatorLED');
  }
  if (boot !== undefined && !isNode(boot)) throw typeError(boot, 'Boot');
  const change = boot === undefined ? undefined : bootChange(boot, snapshot);
  if (assetTag !== undefined) store.set({ assetTag });
  if (indicator !== undefined) store.set({ indicator });
  if (change !== undefined) await host.setBoot(change);
}

function bootChange(body: Node, snapshot: Snapshot): Partial<BootSettings> {
  const { persona } = snapshot;
  const change: { -readonly [Key in keyof BootSettings]?: BootSettings[Key] } = {};
  for (const [key, value] of Object.entries(body)) {
    const inList = (list: readonly string[]): string => {
      if (typeof value === 'string' && list.includes(value)) return value;
      throw new Refusal('PropertyValueNotInList', [String(value), key], `#/Boot/${key}`);
    };
    const options = shownBootOrder(snapshot);
    if (key === 'BootSourceOverrideEnabled') {
      change.enabled = inList(['Disabled', 'Once', 'Continuous']) as BootSettings['enabled'];
    } else if (key === 'BootSourceOverrideTarget') {
      const offered: readonly string[] = persona.bootTargets;
      change.target = inList(BOOT_TARGETS.filter((target) => offered.includes(target))) as BootTargetName;
    } else if (key === 'BootSourceOverrideMode') {
      change.mode = inList(['UEFI', 'Legacy']) as BootSettings['mode'];
    } else if (key === 'BootNext' && persona.bootOptions) {
      change.next = inList(options);
    } else if (key === 'BootOrder' && persona.bootOptions) {
      change.order = bootOrderOf(value, options);
    } else if (!key.startsWith('@')) throw new Refusal('PropertyUnknown', [key], `#/Boot/${key}`);
  }
  return settle(change, snapshot.persona, snapshot.state.boot);
}

/** What a change comes to: no override without a target, and a persona may drop one without a mode. */
function settle(change: Partial<BootSettings>, persona: Persona, now: BootSettings): Partial<BootSettings> {
  const isOverride = change.enabled !== undefined || change.target !== undefined;
  if (persona.bootModeRequired && isOverride && change.enabled !== 'Disabled' && change.mode === undefined) return {};
  if (change.enabled === 'Disabled' || change.target === 'None') {
    return { ...change, enabled: 'Disabled', target: 'None', next: null };
  }
  // A target alone is for one boot (DSP2046, BootSourceOverrideEnabled).
  if (change.target !== undefined && change.enabled === undefined && now.enabled === 'Disabled') {
    return { ...change, enabled: 'Once' };
  }
  return change;
}

function bootOrderOf(value: unknown, options: readonly string[]): readonly string[] {
  const property = '#/Boot/BootOrder';
  if (!Array.isArray(value)) throw typeError(value, 'BootOrder');
  const strange = value.find((one) => !options.includes(one as string));
  if (strange !== undefined || new Set(value).size !== value.length) {
    throw new Refusal('PropertyValueNotInList', [String(strange ?? value), 'BootOrder'], property);
  }
  return [...(value as readonly string[]), ...options.filter((one) => !value.includes(one))];
}

function patchBios(body: Node, { store }: ChangeContext): void {
  const { Attributes: attributes, '@Redfish.SettingsApplyTime': _applyTime, ...rest } = body;
  const [strange] = Object.keys(rest);
  if (strange !== undefined) throw new Refusal('PropertyUnknown', [strange], `#/${strange}`);
  if (!isNode(attributes)) throw new Refusal('PropertyMissing', ['Attributes']);
  const { bios, biosPending } = store.get();
  const pending = new Map<string, BiosValue>(Object.entries(biosPending));
  for (const [name, value] of Object.entries(attributes)) {
    if (name === BIOS_SERIAL) throw new Refusal('PropertyNotWritable', [name], `#/Attributes/${name}`);
    const old = bios[name];
    if (old === undefined) throw new Refusal('PropertyUnknown', [name], `#/Attributes/${name}`);
    if (typeof value !== typeof old) throw typeError(value, name);
    if (value === old) pending.delete(name);
    else pending.set(name, value as BiosValue);
  }
  store.set({ biosPending: Object.fromEntries(pending) });
}

function typeError(value: unknown, name: string): Refusal {
  return new Refusal('PropertyValueTypeError', [JSON.stringify(value) ?? '', name], `#/${name}`);
}
