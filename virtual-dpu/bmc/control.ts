/** The service's own socket: ipmi_sim's chassis program, rules and status. One line in, an answer, end. */
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import type { BmcRules } from './rules.ts';

/** What goes to the service: a word, and the rest of the line. */
export type ControlHandler = (word: string, rest: string) => Promise<string>;

/** A socket that listens. */
export interface ControlServer {
  close(): Promise<void>;
}

/** What the service says of itself. */
export interface BmcStatus {
  readonly redfishPort: number;
  readonly power: string;
}

const MAX_LINE_BYTES = 1 << 20;
const FAILED = 'error';

/** Listens at the path; one that a dead service left is replaced. */
export async function listenControl(path: string, handler: ControlHandler): Promise<ControlServer> {
  await rm(path, { force: true });
  const open = new Set<Socket>();
  // A client may end its side when it has asked.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {}); // Whoever asked went away.
    let text = '';
    let asked = false;
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (asked || end < 0) {
        if (text.length > MAX_LINE_BYTES) socket.destroy();
        return;
      }
      asked = true;
      const line = text.slice(0, end);
      const [word = ''] = line.split(' ', 1);
      handler(word, line.slice(word.length + 1)).then(
        (answer) => socket.end(answer),
        (error: unknown) => socket.end(`${FAILED} ${error instanceof DpuError ? error.message : 'internal'}\n`),
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** How the BMC of the control socket plays from now on; what is absent is as a BMC that does as it is told has it. @throws DpuError `invalid`, `unavailable`. */
export async function setBmcRules(controlSocket: string, rules: Partial<BmcRules>): Promise<void> {
  await ask(controlSocket, `rules ${JSON.stringify(rules)}`);
}

/** What the service says of itself. @throws DpuError `unavailable`. */
export async function bmcStatus(controlSocket: string): Promise<BmcStatus> {
  return JSON.parse(await ask(controlSocket, 'status')) as BmcStatus;
}

async function ask(path: string, line: string): Promise<string> {
  const socket = connect(path);
  socket.setTimeout(10_000, () => socket.destroy(new Error('silent')));
  let answer = '';
  try {
    socket.write(`${line}\n`);
    for await (const chunk of socket as AsyncIterable<Buffer>) answer += chunk.toString();
  } catch (cause) {
    throw new DpuError('unavailable', 'the BMC service does not answer at its socket', { cause });
  }
  if (answer.startsWith(FAILED)) throw new DpuError('invalid', answer.slice(FAILED.length).trim());
  return answer;
}
