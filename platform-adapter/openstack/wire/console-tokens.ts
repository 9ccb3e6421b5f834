import type { Conductor } from './conductor.ts';
import { nullable, objectOf, type Read, sparse, text, whole } from './objects.ts';
import { versionOf } from './releases.ts';

const fields = {
  console_type: text,
  host: text,
  port: whole,
  internal_access_path: nullable(text),
  instance_uuid: text,
  access_url_base: nullable(text),
};

/** Where a console's token leads nova's proxy. */
export type ConsoleTarget = Read<typeof fields>;

/** Makes a token for a console that lives `ttlSec`. It is a secret. */
export async function authorizeConsole(conductor: Conductor, target: ConsoleTarget, ttlSec: number): Promise<string> {
  const token = sparse('ConsoleAuthToken', versionOf(conductor.release, 'ConsoleAuthToken'), {}, target);
  const { result, updates } = await conductor.objectAction(token, 'authorize', [ttlSec]);
  return text(result ?? updates.token, 'console.token');
}

/** Where a token leads. @throws `denied` (InvalidToken: unknown or too old). */
export async function validateConsole(conductor: Conductor, token: string): Promise<ConsoleTarget> {
  return objectOf('ConsoleAuthToken', fields)(
    await conductor.classAction('ConsoleAuthToken', 'validate', [token]),
    'console',
  );
}

/** Forgets all tokens of a server. */
export async function cleanConsoles(conductor: Conductor, instance: string): Promise<void> {
  await conductor.classAction('ConsoleAuthToken', 'clean_console_auths_for_instance', [instance]);
}

/** Forgets all tokens that are too old. */
export async function cleanExpiredConsoles(conductor: Conductor): Promise<void> {
  await conductor.classAction('ConsoleAuthToken', 'clean_expired_console_auths');
}
