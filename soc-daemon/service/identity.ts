import { DpuError, hasCode } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeIdentity, NodeStore } from '../../core/ports/node-store.ts';
import type { Random } from '../../core/ports/random.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import { asId, type NodeId } from '../../core/units.ts';
import { patienceMs, within } from './within.ts';

/** What of an exported identity a first start takes over. */
export interface ImportedIdentity {
  readonly uuid: string;
  readonly hostname: string;
}

/** What the configuration says of the node. */
export interface ConfiguredIdentity {
  readonly hostname: string;
  readonly uuid?: string;
}

/**
 * The node's identity: stored at first start, never changed after. A store that is empty while the card carries our
 * marks is a SoC that was reflashed: the marks of the card tell who the node was, if they agree.
 * @throws DpuError `conflict` when the configuration names another node than the store, or than what was laid in.
 */
export async function settleIdentity(parts: {
  readonly store: Pick<NodeStore, 'identity' | 'setIdentity'>;
  readonly snic: SnicController;
  readonly random: Random;
  readonly clock: Clock;
  readonly log: Log;
  readonly configured: ConfiguredIdentity;
  /** Laid in for a SoC that was reflashed; has the word before the card's marks. */
  readonly imported?: ImportedIdentity | null;
}): Promise<NodeIdentity> {
  const { store, configured, log, imported } = parts;
  if (imported) refuseOther(imported, store.identity(), configured);
  const known = store.identity();
  if (known) {
    if (known.hostname !== configured.hostname) {
      throw new DpuError('conflict', `the store belongs to node ${known.hostname}, the configuration names another`, {
        field: 'node.hostname',
        details: { stored: known.hostname, configured: configured.hostname },
      });
    }
    if (configured.uuid !== undefined && configured.uuid !== known.uuid) {
      throw new DpuError('conflict', 'the store belongs to a node with another uuid', { field: 'node.uuid' });
    }
    return known;
  }
  const uuid =
    configured.uuid ?? imported?.uuid ?? (await uuidOfMarks(parts.snic, parts.clock, log)) ?? parts.random.uuid();
  const identity: NodeIdentity = { uuid: asId<NodeId>(uuid), hostname: configured.hostname };
  await store.setIdentity(identity);
  log.info('node has its identity', { uuid, hostname: identity.hostname });
  return identity;
}

function refuseOther(imported: ImportedIdentity, known: NodeIdentity | null, configured: ConfiguredIdentity): void {
  const details = { imported: imported.hostname };
  if (imported.hostname !== configured.hostname) {
    throw new DpuError('conflict', 'the imported identity is of another node than the configuration names', {
      field: 'node.hostname',
      details,
    });
  }
  const uuid = known?.uuid ?? configured.uuid;
  if (uuid !== undefined && uuid !== imported.uuid) {
    throw new DpuError('conflict', 'the imported identity has another uuid than the node', {
      field: 'node.uuid',
      details,
    });
  }
}

/** The one node that the card's marks name. */
async function uuidOfMarks(snic: SnicController, clock: Clock, log: Log): Promise<NodeId | null> {
  let owners: Set<NodeId>;
  try {
    const functions = await within(clock, patienceMs.ask, (signal) => snic.listFunctions(signal));
    owners = new Set(functions.flatMap((each) => each.mark?.node ?? []));
  } catch (error) {
    if (hasCode(error, 'unavailable') || hasCode(error, 'timeout')) {
      throw new DpuError('unavailable', 'a first start must see the card, which may carry the marks of this node', {
        cause: error,
      });
    }
    throw error;
  }
  if (owners.size > 1) log.warn('the card carries marks of several nodes; this one is new', { count: owners.size });
  const [only] = owners;
  return owners.size === 1 && only !== undefined ? only : null;
}
