import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskFunctionId } from '../../core/derived-ids.ts';
import { asId, type FunctionId, type PortId, type VolumeId } from '../../core/units.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { createSimWorld, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore, type WorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { networkBinderContract, type Representor } from './network-binder.suite.ts';
import { powerControllerContract } from './power-controller.suite.ts';
import { diskSpec, instance, nicSpec, node, otherInstance } from './samples.ts';
import { snicControllerContract } from './snic-controller.suite.ts';
import { type ReachableVolume, storageTargetContract } from './storage-target.suite.ts';
import { volumeServiceContract } from './volume-service.suite.ts';

interface OpenWorld {
  readonly world: SimWorld;
  reopen(): SimWorld;
  close(): Promise<void>;
}

const sizeBytes = 1_073_741_824;
const volumeIds = ['70000000-0000-4000-8000-000000000001', '70000000-0000-4000-8000-000000000002'].map((id) =>
  asId<VolumeId>(id),
);

/** A world with a small card; each reopening is what a restart of the daemon is. */
function openWorld(kind: 'memory' | 'sqlite'): OpenWorld {
  const directory = kind === 'sqlite' ? mkdtempSync(join(tmpdir(), 'sim-contract-')) : null;
  const memory = memoryWorldStore();
  const openStore = (): WorldStore => (directory === null ? memory : sqliteWorldStore(join(directory, 'world.db')));
  const open = (): SimWorld =>
    createSimWorld({
      clock: systemClock,
      random: seededRandom('contract'),
      store: openStore(),
      options: {
        functions: 6,
        volumes: Object.fromEntries(volumeIds.map((id) => [id, { size_bytes: sizeBytes, bootable: true }])),
      },
      timing: { enumerationMs: 1 },
    });
  let world = open();
  return {
    world,
    reopen: () => {
      world.close();
      world = open();
      return world;
    },
    close: async () => {
      world.close();
      if (directory !== null) rmSync(directory, { recursive: true });
    },
  };
}

for (const kind of ['memory', 'sqlite'] as const) {
  const name = `sim, world kept in ${kind}`;

  snicControllerContract(name, async () => {
    const { world, reopen, close } = openWorld(kind);
    return {
      snic: world.snic,
      host: { on: () => world.power.powerOn(), off: () => world.power.powerOff('hard', 0) },
      holdDevices: () => {
        world.faults.order({ port: 'snic', method: '*', kind: 'not-released' });
      },
      plantForeign: () => {
        const id = 'foreign-1' as FunctionId;
        world.plantForeign({ kind: 'function', id, class: 'virtio-blk' });
        return id;
      },
      reopen: async () => reopen().snic,
      close,
    };
  });

  networkBinderContract(name, async () => {
    const { world, reopen, close } = openWorld(kind);
    const make = async (port: string): Promise<Representor> => {
      const { id, representor } = await world.snic.ensureFunction(nicSpec(asId<PortId>(port)));
      return { id, representor: representor ?? '' };
    };
    return {
      network: world.network,
      functions: [
        await make('44444444-4444-4444-8444-444444444444'),
        await make('66666666-6666-4666-8666-666666666666'),
      ],
      plantForeign: () => {
        const port = asId<PortId>('patch-to-br-ex');
        world.plantForeign({ kind: 'port', portId: port, representor: 'patch-br-ex' });
        return port;
      },
      reopen: async () => reopen().network,
      close,
    };
  });

  storageTargetContract(name, async () => {
    const { world, reopen, close } = openWorld(kind);
    const [first, second] = volumeIds;
    if (!first || !second) throw new Error('two volumes are needed');
    const reach = async (id: VolumeId): Promise<ReachableVolume> => ({
      id,
      sizeBytes,
      connection: await world.volumes.connect({ volumeId: id, node, instance, readOnly: false }),
    });
    const make = async (id: VolumeId) => (await world.snic.ensureFunction(diskSpec(id))).id;
    return {
      storage: world.storage,
      functions: [await make(first), await make(second)],
      volumes: [await reach(first), await reach(second)],
      plantForeign: () => {
        const functionId = diskFunctionId(otherInstance, first);
        world.plantForeign({ kind: 'attachment', functionId, volumeId: asId<VolumeId>('theirs') });
        return functionId;
      },
      grow: async (id, bytes) => {
        await world.volumes.resizeVolume(id, bytes);
      },
      reopen: async () => reopen().storage,
      close,
    };
  });

  volumeServiceContract(name, async () => {
    const { world, reopen, close } = openWorld(kind);
    const [foreignVolume] = volumeIds;
    if (!foreignVolume) throw new Error('a volume is needed');
    return { volumes: world.volumes, image: 'demo', foreignVolume, reopen: async () => reopen().volumes, close };
  });

  powerControllerContract(name, async () => {
    const { world, reopen, close } = openWorld(kind);
    return {
      power: world.power,
      ignoreSoftOff: () => {
        world.faults.order({ port: 'power', method: '*', kind: 'ignores-soft-off' });
      },
      reopen: async () => reopen().power,
      close,
    };
  });
}
