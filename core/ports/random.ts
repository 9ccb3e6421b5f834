/** Chance as everything but the protocol packages sees it, so that a simulation can replay it. */
export interface Random {
  /** A number in [0, 1). */
  unit(): number;
  /** A random uuid (RFC 9562 5.4). */
  uuid(): string;
}
