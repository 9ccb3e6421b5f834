/**
 * The tenant network's metadata service, a program: `node metadata-service.ts ADDRESS PORT DIRECTORY SOCKET`. Who asks is known by the address
 * that it asks from, and by the MAC that the namespace's ARP table has for it. SOCKET listens once ADDRESS does.
 */
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { answerMetadata, type InstanceMetadata, type MetadataAnswer } from '../../kit/instance-metadata.ts';

const [address, port, directory, socket] = process.argv.slice(2);
if (address === undefined || port === undefined || directory === undefined || socket === undefined) {
  process.stderr.write('usage: metadata-service ADDRESS PORT DIRECTORY SOCKET\n');
  process.exit(2);
}
const root = directory;

function macOf(ip: string): string | null {
  const row = readFileSync('/proc/self/net/arp', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/))
    .find(([each]) => each === ip);
  return row?.[3] ?? null;
}

async function read(...parts: string[]): Promise<Buffer | null> {
  try {
    return await readFile(join(root, ...parts));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function instanceAt(ip: string): Promise<InstanceMetadata | null> {
  const mac = macOf(ip);
  for (const key of mac === null ? [ip] : [mac, ip]) {
    const metaData = await read(key, 'meta_data.json');
    if (metaData === null) continue;
    const parsed = JSON.parse(metaData.toString()) as Record<string, unknown>;
    return { metaData: parsed, userData: await read(key, 'user_data'), ip, mac };
  }
  return null;
}

async function answer(request: IncomingMessage): Promise<MetadataAnswer> {
  const type = 'text/plain; charset=utf-8';
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type, body: 'Method Not Allowed\n' };
  const ip = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  const { pathname } = new URL(request.url ?? '/', 'http://metadata');
  return answerMetadata(pathname, isIPv4(ip) ? await instanceAt(ip) : null);
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const from = request.socket.remoteAddress ?? 'the socket';
  answer(request)
    .catch((error: unknown): MetadataAnswer => {
      process.stderr.write(`${from} ${request.url}: ${String(error)}\n`);
      return { status: 500, type: 'text/plain; charset=utf-8', body: 'Internal Server Error\n' };
    })
    .then(({ status, type, body }) => {
      process.stderr.write(`${from} ${request.method} ${request.url} ${status}\n`);
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? undefined : body);
    })
    .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
}

const network = createServer(serve);
network.listen(Number(port), address, async () => {
  await rm(socket, { force: true });
  createServer(serve).listen(socket);
});
