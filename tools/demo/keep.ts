import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Instance } from '../../schemas/generated/instance.ts';
import { followOperation, isOver } from './follow.ts';
import { type Layout, NODE, writePrivately } from './layout.ts';
import type { RestNode } from './node-client.ts';
import type { Programs } from './programs.ts';
import { type Screen, tableLines } from './screen.ts';
import { instanceTable } from './show.ts';

/** What an outside program needs to drive a kept demo: the content of demo.json. */
export interface DemoDocument {
  readonly transport_url: string | null;
  readonly exchange: string;
  readonly hostname: string;
  readonly node_type: 'BM';
  readonly rest: { readonly socket: string; readonly url: string | null; readonly token: string | null };
  readonly image: string;
  readonly flavor: string;
  readonly subnet: string;
  /** Null: simulated hardware has no OVSDB. */
  readonly ovsdb: string | null;
  readonly bridge: string;
  readonly pids: Readonly<Record<string, number>>;
  readonly netns: readonly string[];
  /** The directory of the logs. */
  readonly logs: string;
}

/** What a kept demo left, or undefined when there is none. */
export async function readDemo(layout: Layout): Promise<DemoDocument | undefined> {
  try {
    return JSON.parse(await readFile(layout.demoFile, 'utf8')) as DemoDocument;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes demo.json, mode 0600: it holds the broker's password. */
export async function writeDemo(layout: Layout, programs: Programs): Promise<void> {
  const document: DemoDocument = {
    transport_url: programs.transportUrl,
    exchange: NODE.exchange,
    hostname: NODE.hostname,
    node_type: 'BM',
    rest: { socket: layout.socket, url: programs.url, token: programs.url === null ? null : await readToken(layout) },
    image: NODE.image,
    flavor: NODE.flavor,
    subnet: NODE.subnet,
    ovsdb: programs.hardware?.dpu.network.ovsdb ?? null,
    bridge: programs.hardware?.dpu.network.bridge ?? 'br-int',
    pids: programs.pids,
    netns: programs.netns,
    logs: layout.logs,
  };
  await writePrivately(layout.demoFile, `${JSON.stringify(document, null, 2)}\n`);
}

async function readToken(layout: Layout): Promise<string> {
  return (await readFile(join(layout.tls, 'token'), 'utf8')).trim();
}

/** Removes demo.json. */
export async function forgetDemo(layout: Layout): Promise<void> {
  await rm(layout.demoFile, { force: true });
}

/** After a daemon was started again: follows what was under way, and shows what became of it. */
export async function showResumed(
  rest: RestNode,
  since: number,
  { screen, signal }: { readonly screen: Screen; readonly signal: AbortSignal },
): Promise<void> {
  const recent = (await rest.operations()).filter((each) => !isOver(each) || Date.parse(each.updated_at) >= since);
  screen.heading(recent.length === 0 ? 'No operation was under way' : 'What was under way goes on');
  for (const operation of [...recent].reverse()) {
    screen.line(`  ${operation.kind} ${operation.id} of instance ${operation.instance}`);
    await followOperation(rest, operation, screen, signal);
  }
  const instances = await rest.instances();
  screen.heading(instances.length === 0 ? 'The node has no instance' : 'The instances');
  for (const instance of instances) for (const line of instanceTable(instance)) screen.line(line);
}

/** What to do with a kept demo. */
export function nextSteps(
  layout: Layout,
  programs: Programs,
  state: string,
  instances: readonly Instance[],
): readonly string[] {
  const pid = programs.pids['soc-daemon'];
  const network = `--network subnet=${NODE.subnet}`;
  return [
    'It goes on in the background. In this shell:',
    '',
    `  export DPUCTL_SOCKET=${quoted(layout.socket)}`,
    `  alias dpuctl=${quoted('node_modules/.bin/node soc-daemon/cli/main.ts')}`,
    '',
    ...(instances.length === 0
      ? []
      : [
          "The whole host is its instance's; take that away before you build another:",
          '',
          ...instances.map(({ name }) => `  dpuctl instance destroy ${name}`),
          '',
        ]),
    'Look around:',
    '',
    '  dpuctl node',
    `  dpuctl instance build --name mine --image ${NODE.image} --flavor ${NODE.flavor} ${network}`,
    '  dpuctl instance show mine',
    '  dpuctl binding list',
    '',
    ...(programs.url === null
      ? []
      : ["Look at it in a browser (its certificate is the demo's own):", '', '  dpuctl dashboard', '']),
    ...(programs.hardware === null
      ? []
      : ['Sit at its serial console, Ctrl-] leaves:', '', '  dpuctl console mine', '']),
    'Take it away, kill the daemon in the middle of the next build, start it again, and see what became of that:',
    '',
    '  dpuctl instance destroy mine',
    `  dpuctl instance build --name mine --image ${NODE.image} --flavor ${NODE.flavor} ${network} --no-wait; sleep 1; kill -9 ${pid}`,
    `  npm run demo -- --keep${state}`,
    '  dpuctl operation list',
    '',
    ...tableLines([
      ['what a program needs to drive it', layout.demoFile],
      ['logs', layout.logs],
      ['end it', `npm run demo -- --down${state}`],
    ]),
  ];
}

/** A word of a shell line. */
export function quoted(text: string): string {
  return /^[\w./=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
