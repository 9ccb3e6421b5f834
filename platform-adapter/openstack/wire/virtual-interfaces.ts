import type { Conductor } from './conductor.ts';
import { isNova } from './nova-errors.ts';
import { isPrimitive, nullable, objectOf, objectsOf, type Read, sparse, text, whole } from './objects.ts';
import { versionOf } from './releases.ts';

const fields = {
  id: whole,
  /** The port. */
  uuid: text,
  instance_uuid: text,
  /** `<mac>/<port>`. */
  address: nullable(text),
  tag: nullable(text),
};

/** nova's record of a server's port (VirtualInterface 1.3). */
export type VirtualInterface = Read<typeof fields>;

const read = objectOf('VirtualInterface', fields);

/** Makes the record. @throws `hardware` (VirtualInterfaceCreateException: there is one already). */
export async function createVirtualInterface(
  conductor: Conductor,
  values: { readonly instance: string; readonly port: string; readonly mac: string; readonly tag: string | null },
): Promise<void> {
  const { instance, port, mac, tag } = values;
  const changes = { uuid: port, instance_uuid: instance, tag, address: `${mac}/${port}` };
  await conductor.objectAction(
    sparse('VirtualInterface', versionOf(conductor.release, 'VirtualInterface'), {}, changes),
    'create',
  );
}

/** The records of a server. */
export async function listVirtualInterfaces(
  conductor: Conductor,
  instance: string,
): Promise<readonly VirtualInterface[]> {
  const answer = await conductor.classAction('VirtualInterfaceList', 'get_by_instance_uuid', [instance]);
  return objectsOf('VirtualInterfaceList', read)(answer, 'virtual_interfaces');
}

/** Makes the record unless the port has one. */
export async function ensureVirtualInterface(
  conductor: Conductor,
  values: Parameters<typeof createVirtualInterface>[1],
): Promise<void> {
  try {
    await createVirtualInterface(conductor, values);
  } catch (error) {
    if (!isNova(error, 'VirtualInterfaceCreateException')) throw error;
    const there = await getVirtualInterface(conductor, values.port);
    if (there?.instance_uuid !== values.instance) throw error;
  }
}

/** The record of a port; undefined where there is none. */
export async function getVirtualInterface(conductor: Conductor, port: string): Promise<VirtualInterface | undefined> {
  const answer = await conductor.classAction('VirtualInterface', 'get_by_uuid', [port]);
  return isPrimitive(answer) ? read(answer, 'virtual_interface') : undefined;
}

/** Removes the record of a port; none is no error. */
export async function destroyVirtualInterface(conductor: Conductor, port: string): Promise<void> {
  const there = await getVirtualInterface(conductor, port);
  if (there === undefined) return;
  const identity = { id: there.id, uuid: there.uuid };
  await conductor.objectAction(
    sparse('VirtualInterface', versionOf(conductor.release, 'VirtualInterface'), identity),
    'destroy',
  );
}

/** Removes the records of a server. */
export async function deleteVirtualInterfaces(conductor: Conductor, instance: string): Promise<void> {
  await conductor.classAction('VirtualInterface', 'delete_by_instance_uuid', [instance]);
}
