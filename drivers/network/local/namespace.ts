import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Socket as UdpSocket } from 'node:dgram';
import { Server } from 'node:net';
import { extname } from 'node:path';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { NodeId } from '../../../core/units.ts';
import { exec } from '../../../kit/exec.ts';
import { metadataAddress } from '../pipeline.ts';

/** A subnet's place on this SoC: a namespace with one end of a cable, the other end of which goes into the bridge. */
export interface LocalNamespace {
  readonly netns: string;
  /** The cable's end in the switch's namespace. */
  readonly port: string;
  /** Of the cable's end in the namespace. */
  readonly mac: string;
}

/** Sockets in a namespace. */
export interface LocalSockets {
  readonly http: Server;
  readonly dhcp: UdpSocket;
}

const inner = 'eth0';
const timeoutMs = 10_000;

/** The names of a subnet's place, which follow from the node and the subnet. */
export function namespaceOf(node: NodeId, subnet: string): LocalNamespace {
  const hash = createHash('sha256').update(`${node}/${subnet}`).digest('hex');
  const mac = ['02', ...(hash.slice(0, 10).match(/../g) ?? [])].join(':');
  return { netns: `dpul-${hash.slice(0, 8)}`, port: `dpul-${hash.slice(0, 8)}`, mac };
}

async function ip(args: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const { code } = await exec('ip', args, { timeoutMs, signal });
  return code === 0;
}

async function must(program: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  const { code, stderr } = await exec(program, args, { timeoutMs, signal });
  if (code === 0) return;
  throw new DpuError('unavailable', 'a local network could not be set up', {
    details: { program, does: args.slice(0, 6).join(' '), says: stderr.trim().slice(0, 300) },
  });
}

/** Arguments that let `ip` work in a namespace. */
const inside = (netns: string | undefined): readonly string[] => (netns === undefined ? [] : ['-n', netns]);

/**
 * Makes the namespace and the cable where they are not there yet; answers whether it made any: sockets in what was there before are
 * lost then. @throws DpuError `unavailable`.
 */
export async function ensureNamespace(
  place: LocalNamespace,
  switchNetns: string | undefined,
  signal?: AbortSignal,
): Promise<boolean> {
  const { netns, port, mac } = place;
  if (!(await ip(['-n', netns, 'link', 'set', 'lo', 'up'], signal))) await must('ip', ['netns', 'add', netns], signal);
  const at = inside(switchNetns);
  const whole =
    (await ip([...at, 'link', 'show', port], signal)) && (await ip(['-n', netns, 'link', 'show', inner], signal));
  if (!whole) {
    await ip([...at, 'link', 'del', port], signal);
    // its address comes with it and is never set again: the kernel then forgets all neighbours, permanent ones too
    const cable = ['link', 'add', port, 'type', 'veth', 'peer', 'name', inner, 'address', mac, 'netns', netns];
    await must('ip', [...at, ...cable], signal);
  }
  await must('ip', ['-n', netns, 'link', 'set', 'lo', 'up'], signal);
  await must('ip', ['-n', netns, 'link', 'set', inner, 'up'], signal);
  await must('ip', ['-n', netns, 'addr', 'replace', `${metadataAddress}/32`, 'dev', inner], signal);
  await must('ip', ['-n', netns, 'route', 'replace', 'default', 'dev', inner, 'src', metadataAddress], signal);
  // a switch in userspace does not complete checksums
  await must('ip', ['netns', 'exec', netns, 'ethtool', '-K', inner, 'tx', 'off'], signal);
  await must('ip', [...at, 'link', 'set', port, 'up'], signal);
  return !whole;
}

/** Lets answers find a client that does not answer ARP yet. */
export async function pinNeighbour(place: LocalNamespace, address: string, mac: string): Promise<void> {
  const entry = ['neigh', 'replace', address, 'lladdr', mac, 'dev', inner, 'nud', 'permanent'];
  await must('ip', ['-n', place.netns, ...entry]);
}

/** Takes namespace and cable away; those that are not there are fine. */
export async function removeNamespace(place: LocalNamespace, switchNetns: string | undefined): Promise<void> {
  await ip([...inside(switchNetns), 'link', 'del', place.port]);
  await ip(['netns', 'del', place.netns]);
}

/** Opens the sockets inside; they are ours when this ends. @throws DpuError `unavailable`, `timeout`. */
export async function openSockets(place: LocalNamespace, clock: Clock): Promise<LocalSockets> {
  const program = new URL(`./open-sockets${extname(import.meta.url)}`, import.meta.url).pathname;
  const args = ['netns', 'exec', place.netns, process.execPath, program, metadataAddress];
  const child = spawn('ip', args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const done = Promise.withResolvers<LocalSockets>();
  const timer = clock.timer(timeoutMs, () => {
    child.kill('SIGKILL');
    done.reject(new DpuError('timeout', `sockets of ${place.netns} were not opened within ${timeoutMs} ms`));
  });
  let http: Server | undefined;
  child.on('message', (what, handle) => {
    if (what === 'http' && handle instanceof Server) http = handle;
    if (what === 'dhcp' && handle instanceof UdpSocket && http) done.resolve({ http, dhcp: handle });
  });
  child.once('error', (cause) => done.reject(new DpuError('unavailable', 'ip can not be started', { cause })));
  child.once('exit', () => done.reject(new DpuError('unavailable', `sockets of ${place.netns} could not be opened`)));
  try {
    return await done.promise;
  } finally {
    timer.cancel();
  }
}
