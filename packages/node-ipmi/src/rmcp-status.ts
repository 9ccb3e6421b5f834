/** RMCP+ and RAKP message status codes: stable name and text (IPMI 2.0 table 13-15). */
const STATUS: Readonly<Record<number, readonly [name: string, text: string]>> = {
  1: ['no-free-session', 'insufficient resources to create a session'],
  2: ['invalid-session-id', 'invalid session id'],
  3: ['invalid-payload-type', 'invalid payload type'],
  4: ['invalid-authentication-algorithm', 'invalid authentication algorithm'],
  5: ['invalid-integrity-algorithm', 'invalid integrity algorithm'],
  6: ['no-matching-authentication-payload', 'no matching authentication payload'],
  7: ['no-matching-integrity-payload', 'no matching integrity payload'],
  8: ['inactive-session-id', 'inactive session id'],
  9: ['invalid-role', 'invalid role'],
  10: ['unauthorized-role', 'unauthorized role or privilege level requested'],
  11: ['no-free-session-at-role', 'insufficient resources to create a session at the requested role'],
  12: ['invalid-name-length', 'invalid name length'],
  13: ['unauthorized-name', 'unauthorized name'],
  14: ['unauthorized-guid', 'unauthorized GUID'],
  15: ['invalid-integrity-check', 'invalid integrity check value'],
  16: ['invalid-confidentiality-algorithm', 'invalid confidentiality algorithm'],
  17: ['no-matching-cipher-suite', 'no cipher suite match with the proposed algorithms'],
  18: ['invalid-parameter', 'illegal or unrecognized parameter'],
};

/** Status codes that say "not these algorithms" (table 13-15). */
export const CIPHER_STATUSES: ReadonlySet<number> = new Set([4, 5, 6, 7, 16, 17]);

/** Status codes that say "I do not know that session": what a repeated RAKP message can meet (13.20 to 13.24). */
export const STALE_STATUSES: ReadonlySet<number> = new Set([2, 8]);

/** Stable name of a status code, `rmcp-status-xx` for those that the standard does not define. */
export function rmcpStatusName(status: number): string {
  return STATUS[status]?.[0] ?? `rmcp-status-${status.toString(16).padStart(2, '0')}`;
}

/** The standard's words for a status code. */
export function rmcpStatusText(status: number): string {
  return STATUS[status]?.[1] ?? 'status not defined by the standard';
}
