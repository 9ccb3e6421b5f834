import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A network namespace of the test's own. */
export interface TestNamespace {
  readonly name: string;
  /** `ip` in the namespace. */
  ip(...args: string[]): Promise<string>;
  /** Any program in the namespace, to its end. */
  exec(program: string, ...args: string[]): Promise<string>;
  remove(): Promise<void>;
}

/** Makes a namespace with its loopback up. */
export async function addNamespace(): Promise<TestNamespace> {
  const name = `dpu-test-${randomBytes(4).toString('hex')}`;
  const exec = async (program: string, ...args: string[]): Promise<string> =>
    (await run('ip', ['netns', 'exec', name, program, ...args], { timeout: 30_000 })).stdout;
  await run('ip', ['netns', 'add', name], { timeout: 30_000 });
  await exec('ip', 'link', 'set', 'lo', 'up');
  return {
    name,
    exec,
    ip: (...args) => exec('ip', ...args),
    async remove() {
      await run('ip', ['netns', 'del', name], { timeout: 30_000 });
    },
  };
}

/** An Ethernet cable between two namespaces, both ends up; the second's checksums are whole, which userspace switches need. */
export async function addCable(
  one: { readonly at: TestNamespace; readonly name: string },
  other: { readonly at: TestNamespace; readonly name: string; readonly mac?: string; readonly address?: string },
): Promise<void> {
  await one.at.ip('link', 'add', one.name, 'type', 'veth', 'peer', 'name', other.name, 'netns', other.at.name);
  await one.at.ip('link', 'set', one.name, 'up');
  if (other.mac !== undefined) await other.at.ip('link', 'set', other.name, 'address', other.mac);
  await other.at.exec('ethtool', '-K', other.name, 'tx', 'off');
  if (other.address !== undefined) await other.at.ip('addr', 'add', other.address, 'dev', other.name);
  await other.at.ip('link', 'set', other.name, 'up');
}

/** A `net-peer.ts` that runs until it is told to end. */
export interface Peer {
  /** Ends its input, and answers the last thing that it said. */
  end(): Promise<Record<string, number>>;
}

const peerProgram = new URL('./net-peer.ts', import.meta.url).pathname;

/** Runs `net-peer.ts` in a namespace to its end, and answers what it said. */
export async function ask(at: TestNamespace, ...args: readonly (string | number)[]): Promise<Record<string, unknown>> {
  return JSON.parse(await at.exec(process.execPath, peerProgram, ...args.map(String))) as Record<string, unknown>;
}

/** Starts `net-peer.ts` in a namespace; it listens when this ends. */
export async function startPeer(at: TestNamespace, command: 'sink' | 'echo', port: number): Promise<Peer> {
  const child = spawn('ip', ['netns', 'exec', at.name, process.execPath, peerProgram, command, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const exited = once(child, 'exit');
  let last = '{}';
  const lines = createInterface(child.stdout);
  const listening = once(lines, 'line');
  lines.on('line', (line) => {
    last = line;
  });
  await Promise.race([
    listening,
    exited.then(() => {
      throw new Error('the peer ended at once');
    }),
  ]);
  return {
    async end() {
      const closed = once(lines, 'close');
      child.stdin.end();
      await Promise.all([exited, closed]);
      process.off('exit', killAtExit);
      return JSON.parse(last) as Record<string, number>;
    },
  };
}
