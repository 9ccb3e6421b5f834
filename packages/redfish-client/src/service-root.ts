import type { RedfishClient } from './client.ts';
import { linkOf, objectAt, textOf } from './json.ts';
import type { CallOptions } from './signals.ts';

/** What the service root says (DSP0266 "Service root request"; schema ServiceRoot). */
export type ServiceRoot = {
  readonly redfishVersion: string | undefined;
  readonly uuid: string | undefined;
  readonly vendor: string | undefined;
  readonly product: string | undefined;
  readonly systems: string | undefined;
  readonly chassis: string | undefined;
  readonly managers: string | undefined;
  readonly sessions: string | undefined;
  readonly tasks: string | undefined;
  readonly eventService: string | undefined;
};

/** Reads the service root. */
export async function readServiceRoot(client: RedfishClient, options: CallOptions = {}): Promise<ServiceRoot> {
  const { body } = await client.get('/redfish/v1/', options);
  return {
    redfishVersion: textOf(body, 'RedfishVersion'),
    uuid: textOf(body, 'UUID'),
    vendor: textOf(body, 'Vendor'),
    product: textOf(body, 'Product'),
    systems: linkOf(body, 'Systems'),
    chassis: linkOf(body, 'Chassis'),
    managers: linkOf(body, 'Managers'),
    sessions: linkOf(objectAt(body, 'Links'), 'Sessions'),
    tasks: linkOf(body, 'Tasks'),
    eventService: linkOf(body, 'EventService'),
  };
}
