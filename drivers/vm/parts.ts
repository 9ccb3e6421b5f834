import type { HostAgent } from '../../core/ports/host-agent.ts';
import type { DeviceParts } from '../devices/parts.ts';
import type { VmDeadlines } from './deadlines.ts';

/** What the steps of a node of virtual machines work on. */
export interface VmParts extends DeviceParts {
  readonly agent: HostAgent;
  readonly deadlines: VmDeadlines;
}
