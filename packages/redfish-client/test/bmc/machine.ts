import type { BmcOptions } from './options.ts';
import { CD, type Node, RESETS, SYSTEM, type Tree } from './tree.ts';

/** What a request to the machine comes to: a status, and the message's name of an error. */
export type Outcome = { readonly status: number; readonly message?: string };

/** The server behind the BMC: power that follows late, boot override, BIOS, virtual media. */
export type Machine = {
  /** Called before a system is read: a change of power comes nearer. */
  tick(path: string): void;
  act(path: string, body: Node): Outcome;
  patch(path: string, body: Node): Outcome;
};

/** Makes the machine over its resources. `changed` hears the path and what happened. */
export function makeMachine(tree: Tree, options: BmcOptions, changed: (path: string, what: string) => void): Machine {
  let coming: { readonly state: string; reads: number } | undefined;
  const system = () => tree.get(SYSTEM) ?? {};

  function power(state: string, by: string): void {
    coming = { state, reads: options.powerReads ?? 0 };
    if (by !== '') system()['PowerState'] = by;
    if (coming.reads === 0) arrive();
  }
  function arrive(): void {
    if (coming === undefined) return;
    system()['PowerState'] = coming.state;
    changed(SYSTEM, `PowerState${coming.state}`);
    coming = undefined;
  }

  function reset(type: unknown): Outcome {
    if (typeof type !== 'string' || !RESETS.includes(type))
      return { status: 400, message: 'ActionParameterValueNotInList' };
    const on = system()['PowerState'] === 'On';
    if (type === 'On') {
      if (on) return { status: 409, message: 'NoOperation' };
      power('On', 'PoweringOn');
    } else if (!on) return { status: 409, message: 'ActionNotSupported' };
    else if (type === 'ForceOff' || type === 'GracefulShutdown') power('Off', 'PoweringOff');
    else power('On', '');
    if (type !== 'ForceOff' && type !== 'GracefulShutdown') applyBios();
    return { status: 204 };
  }

  /** Pending attributes take effect at the start. */
  function applyBios(): void {
    const bios = tree.get(`${SYSTEM}/Bios`);
    const pending = tree.get(`${SYSTEM}/Bios/${options.biosSettings ?? 'Settings'}`);
    if (bios !== undefined && pending !== undefined) bios['Attributes'] = { ...(pending['Attributes'] as Node) };
  }

  return {
    tick(path) {
      if (path === SYSTEM && coming !== undefined && coming.reads-- <= 0) arrive();
    },
    act(path, body) {
      if (path === `${SYSTEM}/Actions/ComputerSystem.Reset`) return reset(body['ResetType']);
      if (path === `${SYSTEM}/Bios/Actions/Bios.ResetBios`) return { status: 204 };
      const drive = tree.get(CD) ?? {};
      if (path === `${CD}/Actions/VirtualMedia.InsertMedia`) {
        // Quotes what it was sent, as some services do.
        if (body['Image'] === 'http://refused/') return { status: 400, message: `Refused.${body['Password']}` };
        Object.assign(drive, { Image: body['Image'], Inserted: true, WriteProtected: body['WriteProtected'] ?? true });
        return { status: 204 };
      }
      if (path === `${CD}/Actions/VirtualMedia.EjectMedia`) {
        Object.assign(drive, { Image: null, Inserted: false });
        return { status: 204 };
      }
      return { status: 404, message: 'ActionNotSupported' };
    },
    patch(path, body) {
      const node = tree.get(path);
      if (node === undefined) return { status: 404, message: 'ResourceMissingAtURI' };
      if (options.bootInSettings === true && path === SYSTEM && 'Boot' in body)
        return { status: 405, message: 'PropertyNotWritable' };
      const boot = body['Boot'] as Node | undefined;
      const targets = (node['Boot'] as Node | undefined)?.['BootSourceOverrideTarget@Redfish.AllowableValues'];
      const target = boot?.['BootSourceOverrideTarget'];
      if (target !== undefined && !(targets as string[]).includes(String(target)))
        return { status: 400, message: 'PropertyValueNotInList' };
      merge(node, body);
      changed(path, 'ResourceChanged');
      return { status: 200 };
    },
  };
}

/** PATCH of nested objects; arrays and values are replaced. */
function merge(into: Node, change: Node): void {
  for (const [key, value] of Object.entries(change)) {
    const old = into[key];
    const both = [old, value].every((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
    if (both) merge(old as Node, value as Node);
    else if (!key.startsWith('@')) into[key] = value;
  }
}
