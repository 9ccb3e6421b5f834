/** Ids and units as distinct types, so that a volume's id is never passed where a port's is wanted. */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Uuid of a node; made at its first start. */
export type NodeId = Branded<string, 'NodeId'>;
/** Uuid of an instance, chosen by the platform or by the daemon. */
export type InstanceId = Branded<string, 'InstanceId'>;
/** Uuid of an operation. */
export type OperationId = Branded<string, 'OperationId'>;
/** Id of a PCIe function, derived from its instance and its port or volume (`core/derived-ids.ts`). */
export type FunctionId = Branded<string, 'FunctionId'>;
/** Id of a port of the network service; a uuid where the service is Neutron or our own. */
export type PortId = Branded<string, 'PortId'>;
/** Id of a volume of the volume service. */
export type VolumeId = Branded<string, 'VolumeId'>;
/** MAC address, lower case with colons. */
export type Mac = Branded<string, 'Mac'>;

/** A value that JSON can hold: what the journal stores. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** Types a plain string as one of the ids above; the caller has it from the store, a schema-checked message or a derivation. */
export function asId<Id extends NodeId | InstanceId | OperationId | FunctionId | PortId | VolumeId>(text: string): Id {
  return text as unknown as Id;
}
