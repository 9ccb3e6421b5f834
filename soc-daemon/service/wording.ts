/** A name from a request, for a message: in quotes, cut, without control characters. Never for what may be a secret. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}

/** What could have been said instead, for a message. */
export function choices(names: readonly string[]): string {
  if (names.length === 0) return 'which is empty';
  const shown = [...names].sort().slice(0, 10);
  return `${shown.join(', ')}${names.length > shown.length ? ', …' : ''}`;
}
