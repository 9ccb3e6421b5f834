import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A host's disk without a host: qemu-io on an NBD export, which connects again for half a minute as the host's machine does. */
export interface DiskUser {
  /** Runs a command of qemu-io(1) and answers what it printed. @throws Error when it reports a failure. */
  run(command: string): Promise<string>;
  close(): Promise<void>;
}

/** Connects to an export. @throws Error when there is none. */
export async function useDisk(socket: string, name: string, access: 'rw' | 'ro' = 'rw'): Promise<DiskUser> {
  const image = `driver=nbd,server.type=unix,server.path=${socket},export=${name},reconnect-delay=60`;
  const user = spawn('qemu-io', [...(access === 'ro' ? ['-r'] : []), '--image-opts', image], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  let wake = (): void => undefined;
  for (const stream of [user.stdout, user.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      text += chunk;
      wake();
    });
  }
  user.on('exit', () => wake());
  const prompt = async (): Promise<string> => {
    while (!text.endsWith('qemu-io> ')) {
      if (user.exitCode !== null) throw new Error(`qemu-io ended: ${text}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const said = text.slice(0, -'qemu-io> '.length);
    text = '';
    return said;
  };
  await prompt();
  return {
    async run(command) {
      user.stdin.write(`${command}\n`);
      const said = await prompt();
      if (/failed|error|Pattern verification/i.test(said)) throw new Error(said);
      return said;
    },
    async close() {
      user.stdin.end('quit\n');
      await ended(user);
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
