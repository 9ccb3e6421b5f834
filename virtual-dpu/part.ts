import type { HostPart } from './description.ts';

/** What a part is started, ended and looked at with. Every `start…` is an ensure: called again it starts only what is missing. */
export interface PartContext {
  /** Absolute real path of the state directory; `run/` and `log/` in it exist. */
  readonly stateDir: string;
  /** The virtual DPU's name, `vdpu-…`. */
  readonly name: string;
  /** The server, for parts that need it: there when `startBmc` is called. */
  readonly host?: HostPart;
  /** How storage functions reach their back ends. */
  readonly front: 'nbd' | 'vhost-user';
  /** Takes a line of progress for people. */
  readonly log: (line: string) => void;
}
