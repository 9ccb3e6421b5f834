import { isDeepStrictEqual } from 'node:util';
import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Placement, ProviderInventories, ProviderTraits } from '../rest/placement.ts';
import { retryOnGenerationConflict } from '../rest/rest-errors.ts';
import { disabledTrait, isOurTrait, type Offer } from './offer.ts';

/** The node's resource provider in Placement. */
export interface Provider {
  /**
   * Makes Placement say what the node offers. Reads and writes only what differs; what was written is trusted for five minutes.
   * @throws `conflict` when another provider has the node's name and is in use.
   */
  report(offer: Offer, signal: AbortSignal): Promise<void>;
  /** Puts the disabled trait there, or takes it away. */
  setDisabled(disabled: boolean, signal: AbortSignal): Promise<void>;
  /** Who holds what of the node. Empty where it has no provider. */
  consumers(signal: AbortSignal): Promise<readonly string[]>;
}

interface ProviderParts {
  readonly placement: Placement;
  readonly clock: Clock;
  readonly log: Log;
  readonly uuid: string;
  readonly name: string;
}

const trustMs = 300_000;

/** Keeps the provider of one node. */
export function createProvider({ placement, clock, log, uuid, name }: ProviderParts): Provider {
  let known: { readonly offer: Offer; readonly until: number } | undefined;

  /** Answers the generation of a provider that was made just now and so is empty. */
  async function ensure(signal: AbortSignal): Promise<number | undefined> {
    const tree = await placement.providersInTree(uuid, { signal });
    if (tree.some((each) => each.uuid === uuid)) return undefined;
    try {
      return (await placement.createProvider({ uuid, name }, { signal })).generation;
    } catch (error) {
      if (!hasCode(error, 'conflict')) throw error;
      await removeStale(signal, error);
      await placement.ensureProvider({ uuid, name }, { signal });
      return undefined;
    }
  }

  /** A provider of our name with another uuid is what an earlier node of this name left. Placement keeps it while it is in use. */
  async function removeStale(signal: AbortSignal, cause: unknown): Promise<void> {
    const other = await placement.findProviderByName(name, { signal });
    if (other === null || other.uuid === uuid) return;
    const { allocations } = await placement.providerAllocations(other.uuid, { signal });
    if (Object.keys(allocations).length > 0) {
      throw new DpuError('conflict', 'another resource provider in use has the name of this node', {
        field: 'hypervisor_hostname',
        details: { provider: other.uuid },
        cause,
      });
    }
    log.warn('a resource provider without allocations that another node of this name left is removed', {
      provider: other.uuid,
    });
    await placement.deleteProvider(other.uuid, { signal });
  }

  /** Answers the provider's generation now. */
  async function putInventories(wanted: Offer['inventories'], empty: number | undefined, signal: AbortSignal) {
    const now: ProviderInventories =
      empty === undefined ? await placement.getInventories(uuid, { signal }) : { generation: empty, inventories: {} };
    if (isDeepStrictEqual(now.inventories, wanted)) return now.generation;
    for (const custom of Object.keys(wanted)) {
      if (custom.startsWith('CUSTOM_') && !Object.hasOwn(now.inventories, custom))
        await placement.ensureResourceClass(custom, { signal });
    }
    const put = await placement.putInventories(uuid, { generation: now.generation, inventories: wanted }, { signal });
    return put.generation;
  }

  /** An operator's traits stay. */
  async function putTraits(
    choose: (now: readonly string[]) => readonly string[],
    empty: number | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const now: ProviderTraits =
      empty === undefined ? await placement.getTraits(uuid, { signal }) : { generation: empty, traits: [] };
    const wanted = [...new Set(choose(now.traits))].sort();
    if (isDeepStrictEqual([...now.traits].sort(), wanted)) return;
    const added = wanted.filter((each) => !now.traits.includes(each));
    const known = new Set([...now.traits, ...(await placement.knownTraits(added, { signal }))]);
    for (const each of wanted) {
      if (!known.has(each) && each.startsWith('CUSTOM_')) {
        await placement.ensureTrait(each, { signal });
        known.add(each);
      }
    }
    // an older Placement does not know every standard trait
    const traits = wanted.filter((each) => known.has(each));
    await placement.putTraits(uuid, { generation: now.generation, traits }, { signal });
  }

  return {
    async report(offer, signal) {
      const isFresh = known !== undefined && clock.monotonicMs() < known.until;
      if (isFresh && isDeepStrictEqual(known?.offer, offer)) return;
      known = undefined;
      await retryOnGenerationConflict(async () => {
        const empty = await ensure(signal);
        const generation = await putInventories(offer.inventories, empty, signal);
        await putTraits(
          (now) => [...now.filter((each) => !isOurTrait(each)), ...offer.traits],
          empty === undefined ? undefined : generation,
          signal,
        );
      });
      known = { offer, until: clock.monotonicMs() + trustMs };
    },
    async setDisabled(disabled, signal) {
      known = undefined;
      await retryOnGenerationConflict(() =>
        putTraits(
          (now) => {
            const others = now.filter((each) => each !== disabledTrait);
            return disabled ? [...others, disabledTrait] : others;
          },
          undefined,
          signal,
        ),
      );
    },
    async consumers(signal) {
      try {
        return Object.keys((await placement.providerAllocations(uuid, { signal })).allocations);
      } catch (error) {
        if (hasCode(error, 'not_found')) return [];
        throw error;
      }
    },
  };
}
