/** A pretended BlueField, kept in a file: the fake programs, the fake SNAP and the test all work on the same one, and none of them loses it when it is killed. */

import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A device of the pretended virtio-net-controller. */
export interface FakeNet {
  readonly vuid: string;
  readonly slot: number;
  readonly kind: 'static PF' | 'hotplug PF';
  readonly mac: string;
  readonly sf: number;
  readonly rep: string;
  readonly enumerated: boolean;
}

/** A function of the pretended SNAP. */
export interface FakeStorage {
  readonly vuid: string;
  readonly slot: number;
  readonly emulation: 'NVME' | 'VBLK';
  readonly plugged: boolean;
  readonly enumerated: boolean;
  readonly ctrl: string | null;
  readonly nqn: string | null;
  readonly fixed: boolean;
}

/** How a call misbehaves, once. `after`: it does its work first. `late`: it does, and answers a while later (SNAP only). */
export interface FakeFault {
  /** `virtnet list`, `devlink rate`, `nvme_function_create`. */
  readonly call: string;
  readonly kind: 'garbage' | 'hang' | 'fail' | 'hang-after' | 'fail-after' | 'late';
}

/** Everything about it. */
export interface FakeState {
  readonly host: {
    readonly on: boolean;
    /** A running host keeps what it is asked to release. */
    readonly holds: boolean;
    /** A running host does not look for new devices by itself. */
    readonly slow: boolean;
    /** Added to the buses that it numbers. */
    readonly shift: number;
    readonly driverBound: boolean;
  };
  /** How virtnet prints: as fully as known, or with what is confirmed alone. */
  readonly style: 'full' | 'terse';
  readonly features: string;
  readonly nextSlot: number;
  readonly net: readonly FakeNet[];
  readonly storage: readonly FakeStorage[];
  readonly vfs: readonly { readonly vfnum: number; readonly netdev: string; readonly mac: string }[];
  readonly links: Readonly<Record<string, { readonly alias: string; readonly up: boolean }>>;
  readonly rates: Readonly<Record<string, string>>;
  /** What was asked for so far, each as one line. */
  readonly calls: readonly string[];
  readonly faults: readonly FakeFault[];
}

/** A card with nothing on it, its host off. */
export const emptyCard: FakeState = {
  host: { on: false, holds: false, slow: false, shift: 0, driverBound: false },
  style: 'full',
  features: '0x8900010300e7982f',
  nextSlot: 0,
  net: [],
  storage: [],
  vfs: [],
  links: { lo: { alias: '', up: true }, p0: { alias: '', up: true } },
  rates: {},
  calls: [],
  faults: [],
};

const file = (folder: string): string => join(folder, 'card.json');

/** The card as it is. */
export function readCard(folder: string): FakeState {
  return JSON.parse(readFileSync(file(folder), 'utf8')) as FakeState;
}

/** Changes the card; one at a time, whichever process it is. */
export function changeCard(folder: string, change: (state: FakeState) => FakeState): FakeState {
  const lock = join(folder, 'lock');
  const fd = take(lock);
  try {
    const next = enumerate(change(existsSync(file(folder)) ? readCard(folder) : emptyCard));
    put(file(folder), JSON.stringify(next));
    render(folder, next);
    return next;
  } finally {
    closeSync(fd);
    rmSync(lock);
  }
}

function take(lock: string): number {
  for (;;) {
    try {
      const fd = openSync(lock, 'wx');
      writeFileSync(fd, `${process.pid}`);
      return fd;
    } catch {
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8') || process.pid) : process.pid;
      if (holder !== process.pid && !existsSync(`/proc/${holder}`)) rmSync(lock, { force: true });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

function put(path: string, text: string): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

/** A running host finds what is plugged; one that is off has found nothing. */
function enumerate(state: FakeState): FakeState {
  const { on, slow } = state.host;
  const found = (was: boolean, there: boolean): boolean => on && there && (was || !slow);
  return {
    ...state,
    net: state.net.map((each) => ({ ...each, enumerated: found(each.enumerated, true) })),
    storage: state.storage.map((each) => ({ ...each, enumerated: found(each.enumerated, each.plugged) })),
  };
}

/** What the listing programs print lies ready, so that they need no interpreter; not for one that is to misbehave. */
function render(folder: string, state: FakeState): void {
  const answers: Readonly<Record<string, unknown>> = {
    'virtnet list': virtnetList(state),
    'devlink port': devlinkPorts(state),
    'ip link': Object.entries(state.links).map(([ifname, { alias, up }]) => ({
      ifname,
      flags: ['BROADCAST', ...(up ? ['UP'] : [])],
      ...(alias === '' ? {} : { ifalias: alias }),
    })),
  };
  for (const [call, answer] of Object.entries(answers)) {
    const path = join(folder, `${call.replace(' ', '-')}.json`);
    if (state.faults.some((each) => each.call === call)) rmSync(path, { force: true });
    else put(path, `${JSON.stringify(answer)}\n`);
  }
}

/** The bus that a host gives a slot. */
export function busOf(state: FakeState, slot: number): string {
  return (0x84 + slot + state.host.shift).toString(16);
}

/** `virtnet list`, put together after the reference. */
export function virtnetList(state: FakeState): unknown {
  const bdf = (each: FakeNet): string => (each.enumerated ? `${busOf(state, each.slot)}:0.0` : '00:00.0');
  if (state.style === 'terse') {
    return {
      devices: state.net.map((each) => ({
        id: `${each.slot}`,
        vuid: each.vuid,
        bdf: bdf(each),
        mac: each.mac.toUpperCase(),
        sf_rep_net_device: each.rep,
      })),
    };
  }
  return {
    controllers: [
      { emulation_manager: 'mlx5_0', max_hotplug_devices: '16', supported_features: { value: state.features } },
    ],
    devices: state.net.map((each) => ({
      pf_id: each.slot,
      function_type: each.kind,
      transitional: 0,
      vuid: each.vuid,
      pci_bdf: bdf(each),
      mac: each.mac.toUpperCase(),
      mtu: '1500',
      num_queues: 3,
      sf_num: `${each.sf}`,
      sf_parent_device: 'mlx5_0',
      sf_rep_net_device: each.rep,
    })),
  };
}

/** Handle of a VF's port. */
export const vfHandle = (vfnum: number): string => `pci/0000:03:00.0/${196_609 + vfnum}`;
/** Handle of an SF's port. */
export const sfHandle = (sf: number): string => `pci/0000:03:00.0/${229_376 + sf}`;

function devlinkPorts(state: FakeState): unknown {
  const host = { type: 'eth', controller: 1, pfnum: 0, external: true, splittable: false };
  const vfs = state.vfs.map(({ vfnum, netdev, mac }) => [
    vfHandle(vfnum),
    { ...host, netdev, flavour: 'pcivf', vfnum, function: { hw_addr: mac, roce: 'enable' } },
  ]);
  const sfs = state.net.map(({ sf, rep, mac }) => [
    sfHandle(sf),
    {
      ...{ type: 'eth', netdev: rep, flavour: 'pcisf', controller: 0, pfnum: 0, sfnum: sf, splittable: false },
      function: { hw_addr: mac, state: 'active', opstate: 'attached' },
    },
  ]);
  const uplink = { type: 'eth', netdev: 'p0', flavour: 'physical', port: 0 };
  const pf = { ...host, netdev: 'pf0hpf', flavour: 'pcipf', function: { hw_addr: 'b8:ce:f6:00:00:01' } };
  return {
    port: {
      'pci/0000:03:00.0/262143': uplink,
      'pci/0000:03:00.0/196608': pf,
      ...Object.fromEntries([...vfs, ...sfs]),
    },
  };
}

/** `emulation_function_list` of SNAP-4. */
export function snapFunctions(state: FakeState): readonly object[] {
  return state.storage.map((each) => ({
    hotplugged: !each.fixed,
    emulation_type: each.emulation,
    pf_index: each.slot,
    pci_bdf: each.enumerated ? `${busOf(state, each.slot)}:00.2` : '00:00.0',
    vhca_id: each.slot + 2,
    vuid: each.vuid,
    ...(each.ctrl === null ? {} : { ctrl_id: each.ctrl }),
    vfs: [],
  }));
}
