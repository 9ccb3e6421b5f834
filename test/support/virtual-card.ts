import { setTimeout as pause } from 'node:timers/promises';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { pciFunctions } from '../../packages/qmp-client/src/index.ts';
import type { Backend, BackendFunction, BackendSpec } from '../../snic-controller/backends/backend.ts';
import { createVirtualBackend } from '../../snic-controller/backends/virtual/backend.ts';
import type { VirtualBackendOptions } from '../../snic-controller/backends/virtual/options.ts';
import { startVirtualHost, type VirtualHost } from './virtual-host.ts';

/** A network function to make. */
export const nic: BackendSpec = {
  id: 'nic-11111111-1111-8111-8111-111111111111' as FunctionId,
  type: 'PF',
  class: 'virtio-net',
  mac: '02:00:00:00:00:11' as Mac,
  features: [],
  parent: null,
};

/** A storage function to make. */
export const disk: BackendSpec = {
  ...nic,
  id: 'disk-22222222-2222-8222-8222-222222222222' as FunctionId,
  class: 'virtio-blk',
  mac: null,
};

/** For an unplug that is not expected to need the host's consent, or to get it. */
export const soon = { deadlineMs: 300, force: false } as const;
/** For an unplug that a guest shall acknowledge. */
export const patient = { deadlineMs: 60_000, force: false } as const;

/** The virtual backend on a host of its own. */
export interface VirtualCard {
  readonly lab: VirtualHost;
  /** The backend as it is open now. */
  readonly backend: Backend;
  /** Opens it anew, as after a restart of its program. */
  reopen(options?: Partial<VirtualBackendOptions>): Promise<void>;
  /** Reserves and makes, and answers the reservation. */
  make(spec: BackendSpec, taken?: readonly JsonObject[]): Promise<JsonObject>;
  shown(id: FunctionId): Promise<BackendFunction | undefined>;
  /** Ends when the firmware has numbered the buses. */
  enumerated(): Promise<void>;
  close(): Promise<void>;
}

/** Opens one. */
export async function openVirtualCard(options: { readonly memoryMib?: number } = {}): Promise<VirtualCard> {
  const lab = await startVirtualHost(options);
  const open = (changed: Partial<VirtualBackendOptions> = {}): Backend => {
    const { host, netns, storage } = lab;
    const base = { qmp: host.qmp.snic, front: storage.front('nbd'), clock: systemClock, netns, reconnectMs: 20 };
    return createVirtualBackend({ ...base, ...changed });
  };
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
    make: async (spec, taken = []) => (await backend.make(spec, await backend.reserve(spec, taken))).reservation,
    shown: async (id) => (await backend.list()).find((each) => each.id === id),
    enumerated: async () => {
      const numbered = async (): Promise<boolean> =>
        pciFunctions(await lab.qmp.execute('query-pci')).every((each) => each.pci_bridge?.bus.secondary !== 0);
      while (!(await numbered())) await pause(20);
    },
    close: async () => {
      await backend.close();
      await lab.close();
    },
  };
}
