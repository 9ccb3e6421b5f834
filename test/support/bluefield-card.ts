import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import type { Backend, BackendFunction, BackendSpec } from '../../snic-controller/backends/backend.ts';
import { createBluefieldBackend } from '../../snic-controller/backends/bluefield/backend.ts';
import type { BluefieldBackendOptions } from '../../snic-controller/backends/bluefield/options.ts';
import { type FakeSnap, type FakeSnapOptions, startFakeSnap } from './bluefield-snap.ts';
import {
  changeCard,
  emptyCard,
  type FakeFault,
  type FakeState,
  type FakeStorage,
  readCard,
} from './bluefield-state.ts';

const cli = fileURLToPath(new URL('./bluefield-cli.ts', import.meta.url));
const programNames = ['virtnet', 'devlink', 'ip', 'mlxprivhost'] as const;

/** A network function to make. */
export const nic: BackendSpec = {
  id: 'nic-11111111-1111-8111-8111-111111111111' as FunctionId,
  type: 'PF',
  class: 'virtio-net',
  mac: '02:00:00:00:00:11' as Mac,
  features: [],
  parent: null,
};
/** A VF to claim. */
export const vf: BackendSpec = { ...nic, id: 'nic-33333333-3333-8333-8333-333333333333' as FunctionId, type: 'VF' };
/** A storage function to make. */
export const disk: BackendSpec = {
  ...nic,
  id: 'disk-22222222-2222-8222-8222-222222222222' as FunctionId,
  class: 'virtio-blk',
  mac: null,
};
/** Another one. */
export const otherDisk: BackendSpec = { ...disk, id: 'disk-44444444-4444-8444-8444-444444444444' as FunctionId };
/** For an unplug that is not expected to need the host's consent, or to get it. */
export const soon = { deadlineMs: 100, force: false } as const;
const noMac = '00:00:00:00:00:00';
/** Two VFs that the host made, and the links of their representors. */
export const vfs = [0, 1].map((vfnum) => ({ vfnum, netdev: `pf0vf${vfnum}`, mac: noMac }));
/** The links of a card with these VFs. */
export const vfLinks = {
  p0: { alias: '', up: true },
  pf0vf0: { alias: '', up: true },
  pf0vf1: { alias: '', up: false },
};

/** A pretended BlueField with its programs and its SNAP, in a folder of its own. */
export interface BluefieldLab {
  readonly folder: string;
  readonly programs: Readonly<Record<(typeof programNames)[number], string>>;
  readonly snap: FakeSnap;
  state(): FakeState;
  change(change: (state: FakeState) => FakeState): void;
  host(change: Partial<FakeState['host']>): void;
  fault(call: string, kind: FakeFault['kind']): void;
  /** Gives a storage function the controller that whoever serves the disk makes. */
  serve(vuid: string | null, ctrl: string, nqn?: string): void;
  /** Puts a storage function on the card that is not ours. */
  plantStorage(vuid: string, of?: Partial<FakeStorage>): void;
  options(): BluefieldBackendOptions;
  close(): Promise<void>;
}

/** Makes one. */
export async function startBluefieldLab(
  snap: Omit<FakeSnapOptions, 'path'> = {},
  card: Partial<FakeState> = {},
): Promise<BluefieldLab> {
  const folder = mkdtempSync(join(tmpdir(), 'bluefield-'));
  changeCard(folder, () => ({ ...emptyCard, ...card }));
  const scripts = programNames.map((name) => {
    const path = join(folder, name);
    writeFileSync(path, scriptOf(folder, name), { mode: 0o755 });
    return [name, path] as const;
  });
  const programs = Object.fromEntries(scripts) as BluefieldLab['programs'];
  const fakeSnap = await startFakeSnap(folder, { ...snap, path: join(folder, 'snap.sock') });
  const change = (how: (state: FakeState) => FakeState): void => void changeCard(folder, how);
  return {
    folder,
    programs,
    snap: fakeSnap,
    state: () => readCard(folder),
    change,
    host: (host) => change((state) => ({ ...state, host: { ...state.host, ...host } })),
    fault: (call, kind) => change((state) => ({ ...state, faults: [...state.faults, { call, kind }] })),
    serve: (vuid, ctrl, nqn) =>
      change((state) => ({
        ...state,
        storage: state.storage.map((each) => (each.vuid === vuid ? { ...each, ctrl, nqn: nqn ?? null } : each)),
      })),
    plantStorage: (vuid, of = {}) =>
      change((state) => {
        const rest = { plugged: false, enumerated: false, ctrl: null, nqn: null, fixed: false };
        const planted = { vuid, slot: state.nextSlot, emulation: 'VBLK' as const, ...rest, ...of };
        return { ...state, nextSlot: state.nextSlot + 1, storage: [...state.storage, planted] };
      }),
    options: () => ({
      clock: systemClock,
      programs,
      network: {
        ...{ device: 'mlx5_0', pfnum: 0, firstSf: 2000, sfs: 100 },
        ...{ mtu: 1500, queues: 3, queueSize: 256 },
      },
      snapSocket: fakeSnap.path,
      vfs: { pfnum: 0, controller: 1 },
      hotplugPorts: 6,
      model: 'BF3',
      serialNumber: 'MT2328XZ17DF',
      mstDevice: '/dev/mst/mt41692_pciconf0',
      settleMs: 10,
    }),
    close: async () => {
      await fakeSnap.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What lies ready is printed at once; everything else is for the interpreter. */
function scriptOf(folder: string, name: string): string {
  const lists: Readonly<Record<string, readonly [words: string, file: string]>> = {
    virtnet: ['list', 'virtnet-list'],
    devlink: ['-j port show', 'devlink-port'],
    ip: ['-j link show', 'ip-link'],
  };
  const list = lists[name];
  const quick = list
    ? `[ "$*" = "${list[0]}" ] && [ -e "${folder}/${list[1]}.json" ] && exec cat "${folder}/${list[1]}.json"\n`
    : '';
  return `#!/bin/sh\n${quick}exec "${process.execPath}" "${cli}" "${folder}" ${name} "$@"\n`;
}

/** The backend on a pretended card. */
export interface BluefieldCard {
  readonly lab: BluefieldLab;
  readonly backend: Backend;
  /** Opens it anew, as after a restart of its program. */
  reopen(options?: Partial<BluefieldBackendOptions>): Promise<void>;
  /** Reserves and makes, and answers the reservation. */
  make(spec: BackendSpec, taken?: readonly JsonObject[]): Promise<JsonObject>;
  shown(id: FunctionId): Promise<BackendFunction | undefined>;
  close(): Promise<void>;
}

/** Opens one. */
export async function openBluefieldCard(
  snap: Omit<FakeSnapOptions, 'path'> = {},
  card: Partial<FakeState> = {},
): Promise<BluefieldCard> {
  const lab = await startBluefieldLab(snap, card);
  const open = (changed: Partial<BluefieldBackendOptions> = {}): Backend =>
    createBluefieldBackend({ ...lab.options(), ...changed });
  let backend = open();
  return {
    lab,
    get backend() {
      return backend;
    },
    reopen: async (changed) => {
      await backend.close();
      backend = open(changed);
    },
    make: async (spec, taken = []) =>
      (await backend.make(spec, await backend.reserve(spec, taken), undefined, taken)).reservation,
    shown: async (id) => (await backend.list()).find((each) => each.id === id),
    close: async () => {
      await backend.close();
      await lab.close();
    },
  };
}
