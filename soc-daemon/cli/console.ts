import { readFileSync } from 'node:fs';
import { type RawData, WebSocket } from 'ws';
import type { GetInstanceConsole } from '../../schemas/generated/rpc.ts';
import type { Target } from './client.ts';
import type { Context } from './command.ts';
import { CliError, type ExitCode, exitCode } from './exit-code.ts';
import { instancePath } from './resolve.ts';

/** What people sit at. */
export interface Terminal {
  /** Bytes as they are typed; ends with the input. */
  onInput(listener: (bytes: Buffer) => void, onEnd: () => void): () => void;
  write(bytes: Uint8Array): void;
  /** Every key by itself, unechoed; does nothing where it is no terminal. */
  raw(on: boolean): void;
}

/** Ctrl-], which telnet and virsh leave with too. */
const leaveKey = 0x1d;
const goingAway = 1001;

/** `dpuctl console INSTANCE`: the instance's serial console, until Ctrl-], the end of the input, or of the console. */
export async function openConsole(context: Context): Promise<ExitCode> {
  const path = `${await instancePath(context)}/console`;
  const access = (await context.client.ask('POST', path, { type: 'serial' })) as GetInstanceConsole['answer'];
  const { target, terminal, signal } = context;
  const socket = new WebSocket(...addressOf(access, target));
  const over = Promise.withResolvers<ExitCode>();
  const leave = (): void => socket.close();
  let stopInput = (): void => {};
  socket.on('open', () => {
    context.note('connected; Ctrl-] leaves');
    terminal.raw(true);
    if (context.has('take')) socket.send(JSON.stringify({ type: 'take' }));
    stopInput = terminal.onInput((bytes) => {
      const end = bytes.indexOf(leaveKey);
      socket.send(end === -1 ? bytes : bytes.subarray(0, end));
      if (end !== -1) leave();
    }, leave);
  });
  socket.on('message', (data, binary) => {
    if (binary) terminal.write(bytesOf(data));
    else onControl(context, bytesOf(data).toString('utf8'));
  });
  socket.on('error', (cause) => {
    over.reject(new CliError(exitCode.notReachable, 'the console cannot be reached', cause));
  });
  socket.on('close', (code, reason) => {
    if (code !== goingAway) over.resolve(exitCode.done);
    over.reject(new CliError(exitCode.failed, `the console ended: ${reason.toString('utf8') || 'the node closed it'}`));
  });
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await over.promise;
  } finally {
    stopInput();
    terminal.raw(false);
    socket.terminate();
  }
}

/** `dpuctl instance console-log INSTANCE`: the last of what the console showed. */
export async function showConsoleLog(context: Context): Promise<ExitCode> {
  const text = await context.client.text(`${await instancePath(context)}/console/log`);
  context.terminal.write(text);
  return exitCode.done;
}

/** By the way that the other requests go: the daemon's own name for its address may mean something else here. */
function addressOf({ url }: GetInstanceConsole['answer'], target: Target): ConstructorParameters<typeof WebSocket> {
  const path = url.slice(url.indexOf('/v1/'));
  if (target.url === undefined) return [`ws+unix://${target.socket}:${path}`];
  const ca = target.ca === undefined ? {} : { ca: readFileSync(target.ca) };
  return [new URL(path, target.url.replace(/^http/, 'ws')), [], ca];
}

function onControl(context: Context, text: string): void {
  const message = JSON.parse(text) as { readonly type?: string; readonly writes?: boolean };
  if (message.type !== 'role') return;
  // On a line of its own, whatever the guest has begun.
  context.note(`\r\n[${message.writes === true ? 'you write' : 'you watch; somebody else writes: --take takes over'}]`);
}

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
