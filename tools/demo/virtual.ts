/** The demo's hardware made of real parts: a virtual DPU, and the snic-controller beside its switch. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { asId, type NodeId } from '../../core/units.ts';
import { namespaceOf } from '../../drivers/network/local/namespace.ts';
import type { SnicConfig } from '../../schemas/generated/snic-config.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { buildImage } from '../../virtual-dpu/image/build-image.ts';
import { removeNetns } from '../../virtual-dpu/netns.ts';
import { livingProcess, type ProcessRecord, waitForSocket } from '../../virtual-dpu/process.ts';
import { ensureInSoc } from '../../virtual-dpu/soc.ts';
import { down, up } from '../../virtual-dpu/virtual-dpu.ts';
import { DemoError } from './demo-error.ts';
import { type HardwareConfig, type Layout, NODE, writePrivately } from './layout.ts';
import type { Screen } from './screen.ts';

/** What stands in for hardware, up. */
export interface Hardware {
  readonly dpu: VirtualDpu;
  /** The groups of the daemon's configuration that lead to it. */
  readonly config: HardwareConfig;
  readonly pids: Readonly<Record<string, number>>;
  readonly netns: readonly string[];
}

const SNIC_READY_MS = 20_000;
const VOLUME_BYTES = 64 * 1024 * 1024;
/** Sizes of the demo's host: enough for its small guest. */
const HOST = { cpus: 1, memoryMib: 512 } as const;

/** Says what keeps a virtual DPU from being made here, before anything is started. @throws DemoError */
export function checkVirtual(missing: readonly string[]): void {
  const simulated = 'With simulated hardware it works without: npm run demo -- --sim';
  if (process.getuid?.() !== 0) {
    throw new DemoError(`a server with a DPU made of real parts needs root (network namespaces, taps). ${simulated}`);
  }
  const lacking = missing.filter((name) => name !== 'rabbitmq-server');
  if (lacking.length > 0) throw new DemoError(`not installed: ${lacking.join(', ')}. ${simulated}`);
}

/** Brings the virtual DPU and the snic-controller up, or what of them is missing. @throws DemoError, DpuError */
export async function ensureVirtual(layout: Layout, root: string, screen: Screen): Promise<Hardware> {
  const begun = performance.now();
  screen.block(['  the virtual DPU starts ...']);
  await mkdir(layout.images, { recursive: true });
  const image = join(layout.images, `${NODE.image}.img`);
  const [dpu] = await Promise.all([
    up({ stateDir: layout.virtualDpu, tenant: false, ...HOST }),
    existsSync(image) ? undefined : buildImage({ output: image }),
  ]);
  screen.block([]);
  const { host, network } = dpu;
  screen.line(
    `  the virtual DPU is up in ${seconds(begun)}: server ${host.serialNumber} (QEMU, ${host.accel}, off), Open vSwitch, storage, BMC; namespace ${network.netns}`,
  );
  const snic = await ensureSnic(dpu, layout, root, screen);
  const pids = await pidsOf(dpu, snic);
  return { dpu, config: configOf(dpu, layout), pids, netns: [network.netns] };
}

/** Ends both, and everything else in their namespace, and namespaces that a killed daemon left; disks and databases stay. */
export async function endVirtual(layout: Layout, netns: readonly string[] = []): Promise<void> {
  await down({ stateDir: layout.virtualDpu });
  for (const name of netns) await removeNetns(name);
}

/** The namespace in which a daemon answers DHCP and metadata of the demo's subnet. */
export function localNetns(node: string): string {
  return namespaceOf(asId<NodeId>(node), NODE.subnet).netns;
}

async function ensureSnic(dpu: VirtualDpu, layout: Layout, root: string, screen: Screen): Promise<ProcessRecord> {
  const begun = performance.now();
  const config: SnicConfig = {
    state_dir: layout.snicState,
    socket: { path: layout.snicSocket },
    backend: {
      kind: 'virtual',
      virtual: {
        qmp: dpu.host.qmp.snic,
        serial_number: dpu.host.serialNumber,
        front:
          dpu.storage.front.kind === 'nbd'
            ? { kind: 'nbd', path: dpu.storage.front.socket }
            : { kind: 'vhost-user', path: dpu.storage.front.dir },
      },
    },
  };
  const file = join(layout.dir, 'snic-controller.yaml');
  await writePrivately(file, stringify(config));
  const running = (await livingProcess(dpu.stateDir, 'in-snic-controller')) !== undefined;
  const record = await ensureInSoc(dpu, {
    name: 'snic-controller',
    argv: [process.execPath, join(root, 'snic-controller/main.ts'), '--config', file],
    cwd: root,
  });
  await waitForSocket(layout.snicSocket, { deadlineMs: SNIC_READY_MS }).catch((cause: unknown) => {
    throw new DemoError(`the snic-controller does not answer: ${String(cause)}`);
  });
  const how = running ? 'runs already' : `is ready in ${seconds(begun)}`;
  screen.line(`  snic-controller ${how}: pid ${record.pid}`);
  return record;
}

function configOf(dpu: VirtualDpu, layout: Layout): HardwareConfig {
  const { bmc, network, storage } = dpu;
  return {
    profile: 'virtual',
    functions: { kind: 'snic', socket: layout.snicSocket },
    network: {
      kind: 'ovs',
      ovsdb: network.ovsdb,
      run_dir: network.runDir,
      bridge: network.bridge,
      flows: 'ours',
      local: { enabled: true, netns: network.netns },
    },
    storage: {
      kind: 'spdk',
      socket: storage.spdk,
      backing: 'lvols',
      ...(storage.front.kind === 'nbd' ? { nbd_socket: storage.front.socket } : {}),
      images_dir: layout.images,
      volumes_dir: storage.volumesDir,
      volumes: { [NODE.volume]: { size_bytes: VOLUME_BYTES } },
    },
    host: {
      kind: 'bmc',
      redfish: { url: bmc.redfish.url, fingerprint: bmc.redfish.fingerprint },
      ipmi: { address: bmc.ipmi.address, port: bmc.ipmi.port, cipher_suites: [3] },
      username: bmc.username,
      password_file: bmc.passwordFile,
    },
  };
}

async function pidsOf(dpu: VirtualDpu, snic: ProcessRecord): Promise<Readonly<Record<string, number>>> {
  const { host, network, storage, bmc } = dpu;
  return await Promise.resolve({
    'snic-controller': snic.pid,
    qemu: host.pid,
    'ovsdb-server': network.pids.ovsdbServer,
    'ovs-vswitchd': network.pids.vswitchd,
    'spdk-face': storage.pids.face,
    'storage-daemon': storage.pids.storageDaemon,
    bmc: bmc.pids.service,
    'ipmi-sim': bmc.pids.ipmiSim,
  });
}

function seconds(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}
