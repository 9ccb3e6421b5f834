/** `npm run demo -- --openstack`: an unmodified OpenStack, two nodes of ours in it, and a server on each, made with the stock client. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exec } from '../../kit/exec.ts';
import { NAMES } from '../openstack/bootstrap.ts';
import { type Node, startNode, untilNodesUp } from '../openstack/node.ts';
import { programEnvironment, StackError } from '../openstack/programs.ts';
import { type Stack, stackDown, stackUp } from '../openstack/stack.ts';
import { DemoError } from './demo-error.ts';
import { quoted } from './keep.ts';
import { writePrivately } from './layout.ts';
import type { Screen } from './screen.ts';

/** What such a demo was asked for. */
export interface OpenStackDemoOptions {
  /** Absolute path of its state directory. */
  readonly dir: string;
  readonly root: string;
  /** Leave all of it running. */
  readonly keep: boolean;
  /** Put behind `npm run demo -- --openstack` to say which directory, for what is printed. */
  readonly stateFlag: string;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** What an outside program needs to drive a kept one: the content of its demo.json (mode 0600). */
export interface OpenStackDemoDocument {
  readonly auth_url: string;
  /** A shell's environment with the administrator's account. */
  readonly openrc: string;
  readonly region: string;
  readonly hosts: readonly {
    readonly hostname: string;
    readonly node_type: 'BM' | 'VM';
    /** Name of a flavor that fits it. */
    readonly flavor: string;
    readonly rest: { readonly socket: string };
    readonly state_dir: string;
    readonly pid: number | null;
    readonly ovsdb: string | null;
    readonly bridge: string | null;
    readonly log: string;
  }[];
  readonly image: string;
  readonly networks: readonly string[];
  readonly pids: Readonly<Record<string, number>>;
  readonly logs: string;
}

const SERVERS = [
  { hostname: 'demo-bm', type: 'BM', server: 'metal', flavor: NAMES.flavors.metal },
  { hostname: 'demo-vm', type: 'VM', server: 'machine', flavor: NAMES.flavors.small },
] as const;

const IMAGE = NAMES.images[0];
const NETWORK = NAMES.networks[0];

/** Plays it. @throws DemoError */
export async function playOpenStack(options: OpenStackDemoOptions): Promise<void> {
  const { dir, keep, screen, signal } = options;
  const demoFile = join(dir, 'demo.json');
  const before = existsSync(demoFile);
  if (before && !keep) {
    throw new DemoError(`a kept demo is in ${dir}: end it with --down, or take another directory with --state DIR`);
  }
  if (!before) await stackDown(dir, { purge: true }); // left by one that was killed
  let failed = true;
  try {
    const { stack, nodes } = await bringUp(options);
    await show(stack, options);
    await writePrivately(demoFile, `${JSON.stringify(documentOf(stack, nodes), null, 2)}\n`);
    if (keep) for (const line of nextSteps(stack, nodes, options)) screen.line(line);
    else await takeServersAway(stack, options);
    signal.throwIfAborted();
    failed = false;
  } catch (error) {
    throw error instanceof StackError ? new DemoError(error.message) : error;
  } finally {
    if (!keep || (failed && !before)) {
      screen.heading('Everything ends');
      await stackDown(dir, { purge: !failed });
      await rm(demoFile, { force: true });
      screen.line(failed ? `  nothing is left running; logs: ${join(dir, 'log')}` : '  nothing is left running');
    }
  }
}

/** Ends a kept one; answers what it ended. Its state stays, for a look at it. */
export async function endOpenStack(dir: string): Promise<readonly string[]> {
  const ended = await stackDown(dir);
  await rm(join(dir, 'demo.json'), { force: true });
  return ended;
}

async function bringUp({ dir, root, screen, signal }: OpenStackDemoOptions) {
  screen.heading('An OpenStack control plane starts');
  const say = (line: string): void => screen.line(`  ${line}`);
  const stack = await stackUp({ dir, cache: join(root, '.cache/openstack'), say });
  signal.throwIfAborted();
  screen.heading('Two nodes register as nova-compute');
  const nodes: Node[] = [];
  for (const { hostname, type } of SERVERS) {
    const node = await startNode({ stack, hostname, type });
    nodes.push(node);
    say(`${hostname} (${type}), pid ${node.pid()}, with an Open vSwitch and an ovn-controller of its own`);
    signal.throwIfAborted();
  }
  const hostnames = SERVERS.map(({ hostname }) => hostname);
  await untilNodesUp(stack, hostnames);
  return { stack, nodes };
}

/** A server on each node; flavors lead to them: a bare-metal node offers one of its class, one for VMs offers CPUs and memory. */
async function show(stack: Stack, options: OpenStackDemoOptions): Promise<void> {
  const { screen } = options;
  await client(stack, options, ['compute', 'service', 'list', '-c', 'Binary', '-c', 'Host', '-c', 'State']);
  const taken = (await servers(stack, options)).map(({ Host }) => Host); // by their users, where a kept one goes on
  const wanted = SERVERS.filter(({ hostname }) => !taken.includes(hostname));
  for (const { hostname, server, flavor } of wanted) {
    const how = ['--flavor', flavor, '--image', IMAGE, '--network', NETWORK, '--wait', server];
    const columns = ['status', 'addresses', 'OS-EXT-SRV-ATTR:host'].flatMap((name) => ['-c', name]);
    await client(stack, options, ['server', 'create', ...how, ...columns]);
    // the client ends with 0 where the server that it waited for is in error
    const isUp = (await servers(stack, options)).some((each) => each.Host === hostname && each.Status === 'ACTIVE');
    if (!isUp) throw new DemoError(`${server} was not built on ${hostname}: openstack server show ${server} says why`);
  }
  const columns = ['Name', 'Status', 'Networks', 'Host'].flatMap((name) => ['-c', name]);
  await client(stack, options, ['server', 'list', ...columns]);
  for (const { server } of wanted) {
    await client(stack, options, ['port', 'list', '--server', server, '-c', 'MAC Address', '-c', 'Status']);
  }
  screen.line();
}

async function takeServersAway(stack: Stack, options: OpenStackDemoOptions): Promise<void> {
  await client(stack, options, ['server', 'delete', '--wait', ...SERVERS.map(({ server }) => server)]);
}

async function servers(
  stack: Stack,
  { signal }: OpenStackDemoOptions,
): Promise<readonly { readonly Status: string; readonly Host: string | null }[]> {
  const text = await runClient(stack, ['server', 'list', '-f', 'json', '-c', 'Status', '-c', 'Host'], signal);
  return JSON.parse(text) as { Status: string; Host: string | null }[];
}

/** Runs the stock client, and shows what was typed and what it answered. */
async function client(stack: Stack, { screen, signal }: OpenStackDemoOptions, words: readonly string[]): Promise<void> {
  screen.line(`\n  ${screen.paint('cyan', `$ openstack ${words.map(quoted).join(' ')}`)}`);
  const text = await runClient(stack, words, signal);
  for (const line of text.trimEnd().split('\n')) screen.line(`  ${line}`);
}

async function runClient(stack: Stack, words: readonly string[], signal: AbortSignal): Promise<string> {
  const env = programEnvironment(stack.shell);
  const { code, stdout, stderr } = await exec('/usr/bin/openstack', words, { timeoutMs: 300_000, env, signal });
  if (code !== 0) throw new DemoError(`openstack ${words.join(' ')}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

function documentOf(stack: Stack, nodes: readonly Node[]): OpenStackDemoDocument {
  const { programs, layout } = stack;
  return {
    auth_url: stack.authUrl,
    openrc: stack.openrc,
    region: layout.region,
    hosts: nodes.map((node, index) => ({
      hostname: node.hostname,
      node_type: node.type,
      flavor: SERVERS[index]?.flavor ?? '',
      rest: { socket: node.socket },
      state_dir: node.stateDir,
      pid: node.pid() ?? null,
      ovsdb: node.chassis?.ovsdb ?? null,
      bridge: node.chassis?.bridge ?? null,
      log: node.log,
    })),
    image: IMAGE,
    networks: NAMES.networks,
    pids: programs.running(),
    logs: join(layout.dir, 'log'),
  };
}

function nextSteps(stack: Stack, nodes: readonly Node[], options: OpenStackDemoOptions): readonly string[] {
  const { stateFlag, dir } = options;
  const [metal] = SERVERS;
  return [
    'It goes on in the background. In this shell:',
    '',
    `  . ${stack.openrc}`,
    '  openstack server list --long',
    `  openstack server stop ${metal.server}`,
    `  openstack server event list ${metal.server}`,
    `  openstack server delete ${metal.server}`,
    `  openstack server create --flavor ${metal.flavor} --image ${IMAGE} --network ${NETWORK} --wait mine`,
    '',
    'What the nodes say of it:',
    '',
    `  alias dpuctl=${quoted('node_modules/.bin/node soc-daemon/cli/main.ts')}`,
    ...nodes.map(({ hostname, socket }) => `  dpuctl platform requests --socket ${quoted(socket)}  # ${hostname}`),
    '',
    `  what a program needs to drive it  ${join(dir, 'demo.json')}`,
    `  logs                              ${join(dir, 'log')}`,
    `  end it                            npm run demo -- --openstack --down${stateFlag}`,
  ];
}
