import type { ErrorCode } from '../../core/errors.ts';

/** The peers behind the ports: card, switch, storage target, volume service, BMC, agent on the host. */
export type SimPeer = 'snic' | 'ovs' | 'storage' | 'volume' | 'power' | 'agent';

/**
 * What can go wrong.
 * Of calls: `slow` (adds `ms`), `hang` (no answer and no effect until aborted), `fail-once`, `fail` (`times`), `fail-always`,
 * `lost-answer` (the effect happened, the caller gets `timeout`), `down` (`unavailable`).
 * Of things: `not-enumerated` (the host takes `ms` longer to find a function; without `ms` it never does), `bdf-changes`
 * (the next enumeration gives another address), `not-released` (the host holds on to a device), `ignores-soft-off`
 * (the host or guest takes `ms` to shut down; without `ms` it never does), `unhealthy` (the switch could not take the port),
 * `no-guest-agent` (a guest has none).
 */
export type FaultKind =
  | 'slow'
  | 'hang'
  | 'fail-once'
  | 'fail'
  | 'fail-always'
  | 'lost-answer'
  | 'down'
  | 'not-enumerated'
  | 'bdf-changes'
  | 'not-released'
  | 'ignores-soft-off'
  | 'unhealthy'
  | 'no-guest-agent';

/** A fault to come. Plain data: a seed or a test file can hold it. */
export interface FaultOrder {
  readonly port: SimPeer;
  /** Name of the port's method, or `*`. Faults of things take any method. */
  readonly method: string;
  readonly kind: FaultKind;
  /** What failing calls reject with; default `unavailable`. */
  readonly code?: ErrorCode;
  readonly ms?: number;
  /** How often it strikes; default once for `fail-once`, `fail`, `lost-answer` and `bdf-changes`, else until it is taken back. */
  readonly times?: number;
  /** Matching calls to let pass before. */
  readonly skip?: number;
  /** Only calls with this key: id of the function, port, volume or image. */
  readonly match?: string;
}

/** Something that is asked whether a fault strikes it. */
interface Occasion {
  readonly port: SimPeer;
  readonly method: string;
  readonly key: string;
}

/** The orders in force. */
export interface Faults {
  /** Orders a fault; the answer takes it back. */
  order(order: FaultOrder): () => void;
  /** Takes back every order, or those of a peer. */
  clear(port?: SimPeer): void;
  /** Orders that may still strike, oldest first. */
  pending(): readonly FaultOrder[];
  /** The oldest order of these kinds that strikes here; uses it up once. */
  take(occasion: Occasion, ...kinds: readonly FaultKind[]): FaultOrder | undefined;
  /** As `take`, without using it up. */
  peek(occasion: Occasion, ...kinds: readonly FaultKind[]): FaultOrder | undefined;
}

const onceByDefault: readonly FaultKind[] = ['fail-once', 'fail', 'lost-answer', 'bdf-changes'];

/** No order in force yet. */
export function createFaults(): Faults {
  interface Standing {
    readonly order: FaultOrder;
    left: number;
    skip: number;
  }
  let standing: Standing[] = [];
  const strikes = ({ order }: Standing, at: Occasion, kinds: readonly FaultKind[]): boolean =>
    kinds.includes(order.kind) &&
    order.port === at.port &&
    (order.method === '*' || order.method === at.method) &&
    (order.match === undefined || order.match === at.key);
  return {
    order: (order) => {
      const entry = {
        order,
        left: order.times ?? (onceByDefault.includes(order.kind) ? 1 : Number.POSITIVE_INFINITY),
        skip: order.skip ?? 0,
      };
      standing.push(entry);
      return () => {
        standing = standing.filter((each) => each !== entry);
      };
    },
    clear: (port) => {
      standing = port === undefined ? [] : standing.filter((each) => each.order.port !== port);
    },
    pending: () => standing.map((each) => each.order),
    take: (at, ...kinds) => {
      for (const entry of standing) {
        if (!strikes(entry, at, kinds)) continue;
        if (entry.skip > 0) {
          entry.skip -= 1;
          continue;
        }
        entry.left -= 1;
        if (entry.left <= 0) standing = standing.filter((each) => each !== entry);
        return entry.order;
      }
      return undefined;
    },
    peek: (at, ...kinds) => standing.find((entry) => entry.skip === 0 && strikes(entry, at, kinds))?.order,
  };
}
