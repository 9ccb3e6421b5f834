import type { Cache, CachedRow, Database, Uuid } from 'ovsdb-client';

/** What we use of the Open_vSwitch database: ovs-vswitchd.conf.db(5). */
export type OvsTables = {
  readonly Open_vSwitch: { readonly bridges: ReadonlySet<Uuid>; readonly next_cfg: number; readonly cur_cfg: number };
  readonly Bridge: { readonly name: string; readonly ports: ReadonlySet<Uuid> };
  readonly Port: {
    readonly name: string;
    readonly interfaces: ReadonlySet<Uuid>;
    readonly tag: number | null;
    readonly trunks: ReadonlySet<number>;
    /** Ports that are protected never talk to each other. */
    readonly protected: boolean;
  };
  readonly Interface: {
    readonly name: string;
    readonly type: string;
    readonly ofport: number | null;
    readonly error: string | null;
    readonly mtu_request: number | null;
    readonly mac_in_use: string | null;
    readonly options: ReadonlyMap<string, string>;
    readonly external_ids: ReadonlyMap<string, string>;
  };
};

/** What is kept of it in memory. */
export const monitored = {
  Open_vSwitch: { columns: ['next_cfg', 'cur_cfg'] },
  Bridge: { columns: ['name', 'ports'], indexes: ['name', 'ports'] },
  Port: { columns: ['name', 'interfaces', 'tag', 'trunks', 'protected'], indexes: ['name', 'interfaces'] },
  Interface: {
    columns: ['name', 'type', 'ofport', 'error', 'mtu_request', 'mac_in_use', 'options', 'external_ids'],
    indexes: ['name', 'external_ids:iface-id'],
  },
} as const;

/** The database and what is kept of it. */
export type OvsDatabase = Database<OvsTables>;
/** See `monitored`. */
export type OvsCache = Cache<OvsTables, typeof monitored>;
/** A row of Interface. */
export type InterfaceRow = CachedRow<OvsTables['Interface'], (typeof monitored)['Interface']>;
/** A row of Port. */
export type PortRow = CachedRow<OvsTables['Port'], (typeof monitored)['Port']>;
/** A row of Bridge. */
export type BridgeRow = CachedRow<OvsTables['Bridge'], (typeof monitored)['Bridge']>;

/** A port of a bridge with its one interface; bonds have more and are never ours. */
export interface SwitchPort {
  readonly port: PortRow;
  readonly nic: InterfaceRow;
}

/** The ports of a bridge, but for those with several interfaces. */
export function portsOf(cache: OvsCache, bridge: BridgeRow): readonly SwitchPort[] {
  const found: SwitchPort[] = [];
  for (const id of bridge.ports) {
    const port = cache.table('Port').get(id);
    const [first, ...others] = port?.interfaces ?? [];
    const nic = first === undefined ? undefined : cache.table('Interface').get(first);
    if (port && nic && others.length === 0) found.push({ port, nic });
  }
  return found;
}

/** Whether the switch took the interface: `ofport` -1 or an `error` say that it did not. */
export function isTaken(nic: InterfaceRow): boolean {
  return nic.ofport !== null && nic.ofport > 0 && nic.error === null;
}
