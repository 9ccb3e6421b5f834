/** Arguments whose values are secret: `object-add` of a secret has its `data`, `set_password` a password, and so on. */
const SECRET = /password|passphrase|secret|^data$|^key$/i;

/** QEMU's text without any secret value of the command that caused it. */
export function scrub(text: string, args: unknown): string {
  let out = text;
  for (const secret of secretsOf(args, 0, false)) out = out.replaceAll(secret, '***');
  return out;
}

function secretsOf(value: unknown, depth: number, secret: boolean): readonly string[] {
  if (typeof value === 'string') return secret && value.length >= 4 ? [value] : [];
  if (typeof value !== 'object' || value === null || depth > 6) return [];
  return Object.entries(value).flatMap(([key, each]) => secretsOf(each, depth + 1, secret || SECRET.test(key)));
}
