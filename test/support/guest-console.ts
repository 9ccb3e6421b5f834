import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a guest under emulation may take to boot on a busy machine. */
const BOOT_MS = 120_000;
const COMMAND_MS = 60_000;
const TAIL = 1500;
/** Terminal control sequences (ECMA-48 5.4): a shell asks where the cursor is. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they begin with
const escapes = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** A guest's serial console, driven as a person would. */
export interface GuestConsole {
  /** All that the guest has printed since the console was opened, carriage returns taken out. */
  readonly text: string;
  /**
   * Waits for the next match, from behind the last one (and what `send` and `run` have consumed) on.
   * @throws Error with the console's end when it does not come within `ms` (default 120 s) or the console closes.
   */
  expect(pattern: RegExp | string, ms?: number): Promise<RegExpExecArray>;
  /** Types this, as it is. */
  send(text: string): void;
  /** Waits for the login prompt, logs in and waits for the shell. */
  login(options?: { readonly user?: string; readonly password?: string; readonly ms?: number }): Promise<void>;
  /** Runs a command in the shell that is logged in and answers what it printed, without the last line's end. @throws Error when it fails. */
  run(command: string, ms?: number): Promise<string>;
  /** The same, with the exit status instead of an error. */
  status(command: string, ms?: number): Promise<{ readonly code: number; readonly output: string }>;
  /** Repeats a command until it succeeds and `accept` takes its output, and answers that. */
  until(command: string, accept?: (output: string) => boolean, ms?: number): Promise<string>;
  close(): void;
}

/** Opens a console at a unix socket; waits until somebody listens there. Only one client at a time is served by QEMU. */
export async function openGuestConsole(path: string): Promise<GuestConsole> {
  const socket = await connected(path, performance.now() + 10_000);
  let text = '';
  let seen = 0;
  let closed = false;
  let commands = 0;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const each of waiting) each();
  };
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text = (text + chunk.replaceAll('\r', '')).replaceAll(escapes, '');
    wake();
  });
  socket.on('error', () => undefined); // 'close' follows
  socket.on('close', () => {
    closed = true;
    wake();
  });

  async function expectMatch(pattern: RegExp | string, ms = BOOT_MS): Promise<RegExpExecArray> {
    const flags = typeof pattern === 'string' ? 'g' : `${pattern.flags.replace('g', '')}g`;
    const source = typeof pattern === 'string' ? pattern.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&') : pattern.source;
    const regexp = new RegExp(source, flags);
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const fail = (why: string): void =>
      reject(new Error(`${why} for ${String(pattern)}; the console ends with:\n${text.slice(-TAIL)}`));
    const look = (): void => {
      regexp.lastIndex = seen;
      const match = regexp.exec(text);
      if (match) {
        seen = match.index + match[0].length;
        resolve(match);
      } else if (closed) fail('the console closed while waiting');
    };
    const timer = setTimeout(() => fail(`waited ${ms} ms`), ms);
    waiting.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(look);
    }
  }

  async function status(command: string, ms = COMMAND_MS): Promise<{ code: number; output: string }> {
    commands += 1;
    const mark = `g${commands}x`;
    // the echo of what is typed never holds the marks themselves
    socket.write(`M=${mark}; echo "<$M>"; { ${command}\n} </dev/null; echo "<$M:$?>"\n`);
    await expectMatch(`<${mark}>\n`, ms);
    const from = seen;
    const end = await expectMatch(new RegExp(`<${mark}:(\\d+)>\\n`), ms);
    const said = /^guest: .*\n/gm; // what the guest's own scripts print at any time
    const output = text.slice(from, end.index).replaceAll(said, '');
    return { code: Number(end[1]), output: output.replace(/\n$/, '') };
  }

  return {
    get text() {
      return text;
    },
    expect: expectMatch,
    send: (typed) => void socket.write(typed),
    async login({ user = 'root', password, ms = BOOT_MS } = {}) {
      // other lines may follow a prompt at any time
      await expectMatch(/\S+ login: /, ms);
      socket.write(`${user}\n`);
      if (password !== undefined) {
        await expectMatch(/Password: /, ms);
        socket.write(`${password}\n`);
      }
      await expectMatch(/^\S*[#$] /m, ms);
      socket.write('stty -echo 2>/dev/null; PS1=; PS2=\n');
      await expectMatch('\n', ms);
    },
    status,
    async run(command, ms) {
      const { code, output } = await status(command, ms);
      if (code !== 0) throw new Error(`in the guest: ${command}: exit status ${code}\n${output}`);
      return output;
    },
    async until(command, accept = () => true, ms = COMMAND_MS) {
      const deadline = performance.now() + ms;
      for (;;) {
        const { code, output } = await status(command, ms);
        if (code === 0 && accept(output)) return output;
        if (performance.now() > deadline)
          throw new Error(`in the guest: ${command}: after ${ms} ms still ${code}\n${output}`);
        await sleep(100);
      }
    },
    close: () => void socket.destroy(),
  };
}

async function connected(path: string, deadline: number): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      socket.destroy();
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
