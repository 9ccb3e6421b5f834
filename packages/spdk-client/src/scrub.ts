/** Parameters whose values are secret: iSCSI URLs hold a password, RBD configuration a key, NVMe/TCP keys speak for themselves. */
const SECRET = /^(?:url|key|psk|secret|config|config_param|dhchap_key|dhchap_ctrlr_key|.*password.*)$/i;

/** SPDK's text without any secret value of the request that caused it. */
export function scrub(text: string, params: unknown): string {
  let out = text.replace(/\/\/[^/\s@]+@/g, '//***@');
  for (const secret of secretsOf(params, 0)) out = out.replaceAll(secret, '***');
  return out;
}

function secretsOf(value: unknown, depth: number, secret = false): readonly string[] {
  if (typeof value === 'string') return secret && value.length >= 4 ? [value] : [];
  if (typeof value !== 'object' || value === null || depth > 4) return [];
  return Object.entries(value).flatMap(([key, each]) => secretsOf(each, depth + 1, secret || SECRET.test(key)));
}
