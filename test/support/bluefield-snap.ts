import type { Json } from '../../core/units.ts';
import { JsonRpcError } from '../../kit/json-rpc/protocol.ts';
import { createRpcServer } from '../../kit/json-rpc/server.ts';
import { changeCard, type FakeFault, type FakeStorage, readCard, snapFunctions } from './bluefield-state.ts';

/** The fake SNAP of a pretended card. */
export interface FakeSnap {
  readonly path: string;
  /** Ends it: controllers and subsystems are gone, functions stay. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** How it behaves. */
export interface FakeSnapOptions {
  readonly path: string;
  readonly generation?: 'snap-4' | 'snap-4-early' | 'snap-3';
  /** A function gets its controller as soon as it is made, as if a storage target had been quick. */
  readonly serves?: boolean;
}

type Params = Readonly<Record<string, unknown>>;

const kinds = { nvme: 'NVME', virtio_blk: 'VBLK' } as const;

const methods: Readonly<Record<NonNullable<FakeSnapOptions['generation']>, readonly string[]>> = {
  'snap-4': [
    ...(['nvme', 'virtio_blk'] as const).flatMap((each) =>
      ['function_create', 'function_destroy', 'controller_hotplug', 'controller_hotunplug'].map(
        (verb) => `${each}_${verb}`,
      ),
    ),
    ...['emulation_function_list', 'nvme_subsystem_list', 'virtio_blk_controller_list'],
  ],
  'snap-4-early': ['emulation_function_list', 'nvme_emulation_device_attach', 'nvme_subsystem_list'],
  'snap-3': ['emulation_functions_list', 'emulation_device_attach', 'controller_list'],
};

/** Starts it on a socket. */
export async function startFakeSnap(folder: string, options: FakeSnapOptions): Promise<FakeSnap> {
  const { path, generation = 'snap-4', serves = false } = options;

  const takeFault = (call: string): FakeFault['kind'] | undefined => {
    const fault = readCard(folder).faults.find((each) => each.call === call);
    if (!fault) return undefined;
    changeCard(folder, (state) => ({ ...state, faults: state.faults.filter((each) => each.call !== call) }));
    return fault.kind;
  };

  const byController = (name: unknown): FakeStorage => {
    const found = readCard(folder).storage.find((each) => each.ctrl === name);
    if (!found) throw new JsonRpcError(-32602, 'No such device');
    return found;
  };
  const put = (vuid: string, change: Partial<FakeStorage>): void => {
    changeCard(folder, (state) => ({
      ...state,
      storage: state.storage.map((each) => (each.vuid === vuid ? { ...each, ...change } : each)),
    }));
  };

  function create(emulation: FakeStorage['emulation']): Json {
    let vuid = '';
    let slot = 0;
    changeCard(folder, (state) => {
      slot = state.nextSlot;
      vuid = `MT2328XZ17DF${emulation}S${slot}D0F0`;
      const ctrl = serves ? `${emulation === 'NVME' ? 'NVMeCtrl' : 'VblkCtrl'}${slot}` : null;
      const rest = { plugged: false, enumerated: false, fixed: false, nqn: ctrl && `nqn.test:${slot}` };
      return { ...state, nextSlot: slot + 1, storage: [...state.storage, { vuid, slot, emulation, ctrl, ...rest }] };
    });
    return { vhca_id: slot + 2, vuid };
  }

  async function perform(method: string, params: Params, signal: AbortSignal): Promise<Json> {
    const [, kind, verb] =
      /^(nvme|virtio_blk)_(function_create|function_destroy|controller_hot\w+)$/.exec(method) ?? [];
    const emulation = kinds[kind as keyof typeof kinds];
    switch (verb) {
      case 'function_create':
        return create(emulation);
      case 'function_destroy': {
        const found = readCard(folder).storage.find((each) => each.vuid === params.vuid);
        if (!found) throw new JsonRpcError(-19, 'No such device');
        if (found.plugged || (found.ctrl !== null && !serves)) throw new JsonRpcError(-16, 'Device or resource busy');
        changeCard(folder, (state) => ({
          ...state,
          storage: state.storage.filter((each) => each.vuid !== found.vuid),
        }));
        return true;
      }
      case 'controller_hotplug': {
        const { vuid, plugged } = byController(params.ctrl_id);
        if (plugged) throw new JsonRpcError(-114, 'Operation already in progress');
        put(vuid, { plugged: true });
        return true;
      }
      case 'controller_hotunplug': {
        const { vuid } = byController(params.ctrl_id);
        const { host } = readCard(folder);
        if (host.on && host.holds) await never(signal); // `wait_for_done`
        put(vuid, { plugged: false });
        return true;
      }
    }
    const { storage } = readCard(folder);
    switch (method) {
      case 'emulation_function_list':
        return snapFunctions(readCard(folder)) as unknown as Json;
      case 'emulation_functions_list':
        return [
          {
            ...{ emulation_manager: 'mlx5_0', emulation_type: 'nvme', pci_index: 0, pci_bdf: '83:00.2', total_vf: 2 },
            virtual_functions: [{ vf_index: 0, vf_bdf: '83:00.3' }],
          },
        ];
      case 'nvme_subsystem_list':
        return storage
          .filter((each) => each.emulation === 'NVME' && each.ctrl !== null)
          .map(({ ctrl, nqn, plugged }) => ({
            ...{ nqn, sn: 'SN', mn: 'MN', nn: 16, mnan: 16 },
            controllers: [{ ctrl_id: ctrl, nqn, state: 'STARTED', plugged }],
            namespaces: [],
          }));
      case 'virtio_blk_controller_list':
        return storage
          .filter((each) => each.emulation === 'VBLK' && each.ctrl !== null)
          .map(({ ctrl, plugged }) => ({ ctrl_id: ctrl, plugged }));
      default:
        throw new JsonRpcError(-32601, 'Method not found');
    }
  }

  const open = async () => {
    const server = createRpcServer({
      errorOf: (error) =>
        error instanceof JsonRpcError
          ? { code: error.code, message: error.message }
          : { code: -32603, message: String(error) },
      handle: async ({ method, params, signal }) => {
        if (method === 'rpc_get_methods') return methods[generation] as Json;
        const fault = takeFault(method);
        if (!methods[generation].includes(method)) throw new JsonRpcError(-32601, 'Method not found');
        changeCard(folder, (state) => ({ ...state, calls: [...state.calls, `${method} ${JSON.stringify(params)}`] }));
        if (fault === 'hang') return never(signal);
        if (fault === 'fail') throw new JsonRpcError(-5, 'Input/output error');
        if (fault === 'garbage') return { surprise: true };
        const answer = await perform(method, params as Params, signal);
        if (fault === 'hang-after') return never(signal);
        if (fault === 'late') await new Promise((resolve) => setTimeout(resolve, 300));
        if (fault === 'fail-after') throw new JsonRpcError(-5, 'Input/output error');
        return answer;
      },
    });
    await server.listen({ path, mode: 0o600, gid: null });
    return server;
  };
  let server: Awaited<ReturnType<typeof open>> | null = await open();
  return {
    path,
    stop: async () => {
      await server?.close(0);
      server = null;
      changeCard(folder, (state) => ({
        ...state,
        storage: state.storage.map((each) => ({ ...each, ctrl: null, nqn: null })),
      }));
    },
    start: async () => {
      server ??= await open();
    },
  };
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new JsonRpcError(-125, 'Operation canceled')), { once: true });
  });
}
