/** Commands that change what an instance starts from or is told. Passwords come from the terminal or a pipe, never from the command line. */
import { readFileSync } from 'node:fs';
import type { Command, Context, Option } from './command.ts';
import { usage } from './exit-code.ts';
import { change } from './follow.ts';
import { instancePath } from './resolve.ts';

type Body = Readonly<Record<string, unknown>>;

const noWait: Option = { name: 'no-wait', help: 'do not wait for the end' };
const image: Option = { name: 'image', value: 'NAME', help: 'the image to start from' };
const longest = 1024;
const backspace = new Set([0x08, 0x7f]);
const interrupt = 0x03;
const lineEnds = new Set([0x0a, 0x0d]);

function onInstance(
  verb: string,
  help: string,
  options: readonly Option[],
  body: (context: Context) => Body | undefined | Promise<Body>,
): Command {
  return {
    words: ['instance', verb],
    args: ['instance'],
    options: [...options, noWait],
    help,
    run: async (context) => {
      const path = `${await instancePath(context)}/actions/${verb}`;
      return await change(context, 'POST', path, await body(context));
    },
  };
}

/** `instance rebuild`, `rescue`, `unrescue` and `reset-password`. */
export const guestCommands: readonly Command[] = [
  onInstance(
    'rebuild',
    'makes its boot disk anew; ports and data disks stay',
    [
      { ...image, help: 'another image than its own' },
      { name: 'userdata-file', value: 'FILE', help: 'other user data' },
      { name: 'password', help: "asks for the administrator's password of the new disk" },
    ],
    async (context) => {
      const file = context.option('userdata-file');
      if (file !== undefined && context.has('password')) throw usage('user data and a password exclude each other');
      return {
        ...imageOf(context),
        ...(file === undefined ? {} : { userdata: readText(file) }),
        ...(context.has('password') ? { userdata: { admin_pass: await askPassword(context) } } : {}),
      };
    },
  ),
  onInstance(
    'rescue',
    'starts it from a rescue image; its own disk is a second one',
    [image, { name: 'password', help: "asks for the administrator's password there" }],
    async (context) => ({
      ...imageOf(context),
      ...(context.has('password') ? { admin_pass: await askPassword(context) } : {}),
    }),
  ),
  onInstance('unrescue', 'starts it from its own disk again', [], () => undefined),
  onInstance(
    'reset-password',
    "asks for the administrator's password, good from the next start on",
    [],
    async (context) => ({
      new_password: await askPassword(context),
    }),
  ),
];

function imageOf(context: Context): Body {
  const name = context.option('image');
  return name === undefined ? {} : { image: name };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw usage(`cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** One line of the input, not echoed on a terminal. @throws CliError `usage` for none, or one that is too long. */
async function askPassword({ terminal, note, signal }: Context): Promise<string> {
  note('Password:');
  const typed: number[] = [];
  terminal.raw(true);
  let stop = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => reject(usage('no password was given'));
      signal.addEventListener('abort', giveUp, { once: true });
      const take = (byte: number): boolean => {
        if (lineEnds.has(byte)) return true;
        if (byte === interrupt) giveUp();
        else if (backspace.has(byte)) typed.pop();
        else typed.push(byte);
        return false;
      };
      let over = false;
      stop = terminal.onInput((bytes) => {
        if (over) return;
        over = bytes.some(take); // what comes behind the line is not it
        if (over) resolve();
      }, resolve);
    });
  } finally {
    stop();
    terminal.raw(false);
  }
  const password = Buffer.from(typed).toString('utf8');
  if (password === '') throw usage('no password was given');
  if (password.length > longest) throw usage('the password is too long');
  return password;
}
