import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';

/** How a storage function reaches the controller that bears its id: an NBD export of that name, or a vhost-user socket of that name. */
export type StorageFront =
  | { readonly kind: 'nbd'; readonly socket: string }
  | { readonly kind: 'vhost-user'; readonly dir: string };

/** What the virtual backend works on. */
export interface VirtualBackendOptions {
  /** The host's QMP socket that is ours alone. */
  readonly qmp: string;
  readonly front: StorageFront;
  readonly clock: Clock;
  readonly log?: Log;
  /** Of the card, for `describe`. */
  readonly serialNumber?: string | null;
  /** How many of the host's root ports to use at most; default all of them. */
  readonly rootPorts?: number;
  /** Network namespace of taps and host; default the one that we run in. */
  readonly netns?: string;
  /** Deadline of one command to host or kernel in milliseconds; default 10,000. */
  readonly commandTimeoutMs?: number;
  /** How long to wait before the host is tried again while somebody watches, in milliseconds; default 1,000. */
  readonly reconnectMs?: number;
}
