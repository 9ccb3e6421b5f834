/**
 * Calls per second of `packages/oslo-messaging` (server and client) beside stock Python oslo.messaging (server and client,
 * threading executor), on one broker, with the same payload, in turns. Prints a table and one line of JSON.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createRpcClient, createRpcServer, createTransport } from 'oslo-messaging';
import { startBroker, stopBroker } from '../../tools/rabbitmq.ts';

const rounds = 5;
const calls = 2000;
const script = join(import.meta.dirname, 'oslo-messaging.py');
const text = 'x'.repeat(200);

function python(url: string, role: 'server' | 'client', atOnce: number): ChildProcess {
  const child = spawn('/usr/bin/python3', ['-W', 'ignore', script, role, String(calls), String(atOnce)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin?.write(`${url}\n`);
  return child;
}

/** The next line that a peer prints. */
async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('the peer has no output');
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('the peer ended without a word');
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

async function measurePython(url: string, atOnce: number): Promise<number> {
  const client = python(url, 'client', atOnce);
  const { perSecond } = JSON.parse(await firstLine(client)) as { perSecond: number };
  await ended(client);
  return perSecond;
}

async function measureOurs(url: string, atOnce: number): Promise<number> {
  const transport = createTransport({ url });
  const client = createRpcClient({ transport, exchange: 'bench', topic: 'ours', server: 'one' });
  await client.call('echo', { text }, { mandatory: true });
  const begun = performance.now();
  let left = calls;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await client.call('echo', { text });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const seconds = (performance.now() - begun) / 1000;
  await client.close();
  await transport.close();
  return calls / seconds;
}

/** Ours in a process of its own, as Python's server is. */
async function serve(url: string): Promise<void> {
  const transport = createTransport({ url });
  const echo = async (args: Readonly<Record<string, unknown>>): Promise<unknown> => args.text;
  const server = createRpcServer({
    transport,
    exchange: 'bench',
    topic: 'ours',
    server: 'one',
    endpoints: [{ version: '1.0', methods: { echo } }],
  });
  await server.ready();
  process.stdout.write('ready\n');
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  await server.stop();
  await transport.close();
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

async function main(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-oslo-'));
  const broker = await startBroker({ dir });
  const servers: ChildProcess[] = [];
  try {
    const ours = spawn(process.execPath, [import.meta.filename, 'serve'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, TRANSPORT_URL: broker.url },
    });
    servers.push(ours, python(broker.url, 'server', 1));
    for (const server of servers) await firstLine(server);
    const rows: { atOnce: number; ours: number; python: number; ratio: number }[] = [];
    for (const atOnce of [1, 16]) {
      const mine: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        mine.push(await measureOurs(broker.url, atOnce));
        theirs.push(await measurePython(broker.url, atOnce));
      }
      const [a, b] = [median(mine), median(theirs)];
      rows.push({ atOnce, ours: Math.round(a), python: Math.round(b), ratio: Math.round((a / b) * 10) / 10 });
    }
    console.log('| calls at once | ours, per second | Python, per second | ratio |\n|---|---|---|---|');
    for (const row of rows) console.log(`| ${row.atOnce} | ${row.ours} | ${row.python} | ${row.ratio} |`);
    console.log(JSON.stringify(rows));
  } finally {
    for (const server of servers) server.stdin?.end();
    await Promise.all(servers.map(ended));
    await stopBroker(broker);
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.argv[2] === 'serve') await serve(process.env.TRANSPORT_URL ?? '');
else await main();
