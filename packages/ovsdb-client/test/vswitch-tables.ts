import type { Uuid } from '../src/index.ts';

/** What the tests use of Open_vSwitch's tables. */
export type VSwitch = {
  readonly Open_vSwitch: {
    readonly bridges: ReadonlySet<Uuid>;
    readonly next_cfg: number;
    readonly ovs_version: string | null;
    readonly external_ids: ReadonlyMap<string, string>;
  };
  readonly Bridge: {
    readonly name: string;
    readonly ports: ReadonlySet<Uuid>;
    readonly fail_mode: 'standalone' | 'secure' | null;
    readonly stp_enable: boolean;
    readonly datapath_type: string;
    readonly external_ids: ReadonlyMap<string, string>;
    readonly other_config: ReadonlyMap<string, string>;
  };
  readonly Port: {
    readonly name: string;
    readonly interfaces: ReadonlySet<Uuid>;
    readonly tag: number | null;
    readonly trunks: ReadonlySet<number>;
    readonly external_ids: ReadonlyMap<string, string>;
  };
  readonly Interface: {
    readonly name: string;
    readonly type: string;
    readonly ofport: number | null;
    readonly statistics: ReadonlyMap<string, number>;
    readonly external_ids: ReadonlyMap<string, string>;
  };
  readonly QoS: {
    readonly type: string;
    readonly queues: ReadonlyMap<number, Uuid>;
    readonly other_config: ReadonlyMap<string, string>;
  };
  readonly Queue: { readonly dscp: number | null; readonly other_config: ReadonlyMap<string, string> };
};
