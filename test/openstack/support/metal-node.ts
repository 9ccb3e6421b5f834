/**
 * A bare-metal node whose hardware is a virtual DPU: a server that really boots, snic-controller, the storage target. Its switch is a chassis of the
 * control plane's OVN.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Layout, layoutOf } from '../../../tools/demo/layout.ts';
import type { Screen } from '../../../tools/demo/screen.ts';
import { ensureVirtual, type Hardware } from '../../../tools/demo/virtual.ts';
import { type Node, startNode, untilNodesUp } from '../../../tools/openstack/node.ts';
import { programEnvironment } from '../../../tools/openstack/programs.ts';
import { type Session, signIn } from '../../../tools/openstack/rest.ts';
import { ovnEnvironment } from '../../../tools/openstack/services.ts';
import type { Stack } from '../../../tools/openstack/stack.ts';
import { bmcFiles } from '../../../virtual-dpu/bmc/files.ts';
import type { VirtualDpu } from '../../../virtual-dpu/description.ts';
import { buildImage } from '../../../virtual-dpu/image/build-image.ts';
import { down, kill } from '../../../virtual-dpu/virtual-dpu.ts';
import { ROOT } from '../../architecture/project-files.ts';
import { type GuestConsole, openGuestConsole } from '../../support/guest-console.ts';
import { nodeTraces } from '../../support/node-leaks.ts';
import { untilChassisAlive } from './chassis-alive.ts';

/** How long the guest waits for its address before it shows its login prompt, on a busy machine; seconds. */
const ADDRESS_S = 60;

/** The node, up in nova. */
export interface MetalNode {
  readonly node: Node;
  readonly dpu: VirtualDpu;
  /** A disk that its server boots. */
  readonly image: string;
  /** Where the node and its virtual DPU keep all that they write. */
  readonly dir: string;
  /** The server's serial line; to be closed by who opened it. */
  console(): Promise<GuestConsole>;
  /** What is in its parts that was not when it came up; in words. */
  leaks(): Promise<readonly string[]>;
  /** SIGKILL to the daemon and to the storage target, which forgets everything; then both start again. The server goes on. */
  crash(): Promise<void>;
  /** Ends it, and takes it out of nova and OVN as an operator does. */
  end(): Promise<void>;
}

/** What differs from one such node to the next. */
export interface MetalNodeOptions {
  readonly stack: Stack;
  readonly hostname: string;
  /** Put over the daemon's `storage` settings. */
  readonly storage: Readonly<Record<string, unknown>>;
}

/** Brings it up in the control plane's directory; ends what was begun where that fails. */
export async function startMetalNode(options: MetalNodeOptions): Promise<MetalNode> {
  const { stack, hostname } = options;
  const dir = join(stack.layout.dir, 'nodes', hostname);
  const layout = layoutOf(dir);
  const undo: (() => Promise<unknown>)[] = [];
  const end = async (): Promise<void> => {
    for (const each of undo.splice(0).reverse()) await each();
  };
  try {
    return { ...(await bringUp(options, layout, undo)), end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function bringUp(
  { stack, hostname, storage }: MetalNodeOptions,
  layout: Layout,
  undo: (() => Promise<unknown>)[],
): Promise<Omit<MetalNode, 'end'>> {
  const image = join(layout.images, 'guest.img');
  await mkdir(layout.images, { recursive: true, mode: 0o700 });
  await buildImage({ output: image, metadataWait: ADDRESS_S });
  undo.push(() => rm(layout.dir, { recursive: true, force: true }));
  undo.push(() => down({ stateDir: layout.virtualDpu }));
  const hardware = await ensureVirtual(layout, ROOT, silent);
  const { dpu } = hardware;
  undo.push(() => leaveOvn(stack, hostname));
  await joinOvn(stack, hostname, dpu);
  const node = await startNode({
    stack,
    hostname,
    type: 'BM',
    chassis: false,
    config: { ...configOf(hardware, storage), sim: undefined },
  });
  undo.push(() => forget(stack, hostname));
  undo.push(() => node.stop());
  await untilNodesUp(stack, [hostname]);
  const traces = () => nodeTraces(dpu, layout, []);
  const before = await traces();
  return {
    node,
    dpu,
    image,
    dir: layout.dir,
    console: () => openGuestConsole(bmcFiles(layout.virtualDpu).serialSocket),
    async leaks() {
      return Object.entries(await traces()).flatMap(([kind, names]) =>
        names.filter((name) => !before[kind]?.includes(name)).map((name) => `${kind}: ${name}`),
      );
    },
    async crash() {
      await node.kill();
      await kill(layout.virtualDpu, 'spdk-face');
      await ensureVirtual(layout, ROOT, silent);
      await node.start();
    },
  };
}

/** The daemon's configuration for the hardware; the switch's flows are ovn-controller's. */
function configOf({ config }: Hardware, storage: Readonly<Record<string, unknown>>) {
  return {
    ...config,
    network: { ...config.network, local: undefined, flows: 'controller', wait_ovn_installed: true, bind_timeout_s: 60 },
    storage: { ...config.storage, volumes: {}, ...storage },
  };
}

const controllerOf = (hostname: string): string => `chassis-${hostname}-controller`;

/** Makes the virtual DPU's switch a chassis: what `ovn-controller` beside it is told in `external_ids`. */
async function joinOvn(stack: Stack, hostname: string, { network }: VirtualDpu): Promise<void> {
  const { layout, programs } = stack;
  const { ovsdb, runDir, bridge } = network;
  const ids = {
    hostname,
    'system-id': controllerOf(hostname),
    'ovn-remote': `unix:${layout.sockets}/sb.sock`,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': '127.0.0.1',
    'ovn-bridge': bridge,
    'ovn-bridge-datapath-type': 'netdev',
  };
  const settings = Object.entries(ids).map(([key, value]) => `external_ids:${key}="${value}"`);
  await tool('ovs-vsctl', `--db=${ovsdb}`, '--timeout=30', 'set-fail-mode', bridge, 'secure');
  await tool('ovs-vsctl', `--db=${ovsdb}`, '--timeout=30', 'set', 'Open_vSwitch', '.', ...settings);
  programs.start({
    name: controllerOf(hostname),
    argv: ['ovn-controller', ovsdb, '--no-chdir'],
    env: { ...ovnEnvironment(layout), OVS_RUNDIR: runDir, OVN_RUNDIR: runDir },
  });
  const isKnown = async (): Promise<boolean> =>
    (await southbound(layout, '--bare', '--columns=name', 'find', 'chassis', `hostname="${hostname}"`)).trim() !== '';
  await programs.ready(controllerOf(hostname), isKnown, 60_000);
  await untilChassisAlive(stack, hostname);
}

async function leaveOvn({ layout, programs }: Stack, hostname: string): Promise<void> {
  await programs.stop(controllerOf(hostname));
  await southbound(layout, '--if-exists', 'chassis-del', controllerOf(hostname));
}

async function southbound({ sockets }: Stack['layout'], ...args: readonly string[]): Promise<string> {
  return await tool('ovn-sbctl', `--db=unix:${sockets}/sb.sock`, '--timeout=30', ...args);
}

/** Takes the host out of nova. */
async function forget(stack: Stack, hostname: string): Promise<void> {
  const admin: Session = await signIn(stack.admin);
  const { services } = await admin.call<{ services: readonly { readonly id: string }[] }>(
    'compute',
    'GET',
    `/os-services?binary=nova-compute&host=${hostname}`,
  );
  for (const { id } of services) await admin.call('compute', 'DELETE', `/os-services/${id}`);
}

async function tool(program: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, [...args], { env: programEnvironment(), timeout: 60_000 })).stdout;
}

const silent: Screen = {
  terminal: false,
  line: () => undefined,
  heading: () => undefined,
  block: () => undefined,
  keepBlock: () => undefined,
  paint: (_style, text) => text,
};
