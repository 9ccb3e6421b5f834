import { hasCode } from '../../../core/errors.ts';
import { defined, numberOf, objectOf, objectsIn, optionalNumber, optionalText, textsOf } from './fields.ts';
import type { CallOptions, HttpAnswer } from './http.ts';
import type { Caller } from './keystone.ts';
import {
  readAggregates,
  readInventories,
  readProvider,
  readResources,
  readTraits,
  writeAllocations,
  writeInventory,
} from './placement-records.ts';
import { isGenerationConflict, recoded, retryOnGenerationConflict, unless } from './rest-errors.ts';
import type { ServiceRequest } from './service-client.ts';

/** A resource provider. */
export interface ResourceProvider {
  readonly uuid: string;
  readonly name: string;
  readonly generation: number;
  readonly parentUuid: string | null;
  readonly rootUuid: string;
}

/** How much of one resource class there is. */
export interface Inventory {
  readonly total: number;
  readonly reserved: number;
  readonly minUnit: number;
  readonly maxUnit: number;
  readonly stepSize: number;
  readonly allocationRatio: number;
}

/** What a provider has, by resource class. */
export interface ProviderInventories {
  readonly generation: number;
  readonly inventories: Readonly<Record<string, Inventory>>;
}

/** Traits of a provider. */
export interface ProviderTraits {
  readonly generation: number;
  readonly traits: readonly string[];
}

/** Aggregates of a provider. */
export interface ProviderAggregates {
  readonly generation: number;
  readonly aggregates: readonly string[];
}

/** Amounts by resource class. */
export type Resources = Readonly<Record<string, number>>;

/** Who holds what of a provider. */
export interface ProviderAllocations {
  readonly generation: number;
  /** By consumer. */
  readonly allocations: Readonly<Record<string, Resources>>;
}

/** What a consumer (instance, migration) holds. */
export interface ConsumerAllocations {
  /** By provider. Empty: it holds nothing. */
  readonly allocations: Readonly<Record<string, Resources>>;
  /** All three null when it holds nothing. */
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly consumerGeneration: number | null;
}

/**
 * Placement, microversion 1.28 throughout (1.0 to 1.39 in Zed). Every writer that takes a generation throws a `conflict` for which
 * `isGenerationConflict` holds when somebody else wrote meanwhile: read again and repeat (`retryOnGenerationConflict`).
 */
export interface Placement {
  /** The tree that a provider is in; empty when there is no such provider. */
  providersInTree(uuid: string, options?: CallOptions): Promise<readonly ResourceProvider[]>;
  /** null: none of that name. */
  findProviderByName(name: string, options?: CallOptions): Promise<ResourceProvider | null>;
  /** @throws `conflict` when the name or uuid is taken. */
  createProvider(
    provider: { readonly uuid: string; readonly name: string; readonly parentUuid?: string },
    options?: CallOptions,
  ): Promise<ResourceProvider>;
  /** The provider with that uuid, made where it is not there. @throws `conflict` when another one has the name. */
  ensureProvider(
    provider: { readonly uuid: string; readonly name: string },
    options?: CallOptions,
  ): Promise<ResourceProvider>;
  /** One that is not there is fine. @throws `conflict` while it has allocations. */
  deleteProvider(uuid: string, options?: CallOptions): Promise<void>;

  getInventories(uuid: string, options?: CallOptions): Promise<ProviderInventories>;
  /** Replaces them all. @throws generation conflict; `conflict` when a class that goes is in use; `invalid` for a class that is not known. */
  putInventories(uuid: string, inventories: ProviderInventories, options?: CallOptions): Promise<ProviderInventories>;
  /** Makes a `CUSTOM_` class; one that is there is fine. */
  ensureResourceClass(name: string, options?: CallOptions): Promise<void>;

  /** Those of the names that Placement knows. */
  knownTraits(names: readonly string[], options?: CallOptions): Promise<readonly string[]>;
  /** Makes a `CUSTOM_` trait; one that is there is fine. */
  ensureTrait(name: string, options?: CallOptions): Promise<void>;
  getTraits(uuid: string, options?: CallOptions): Promise<ProviderTraits>;
  /** Replaces them all. @throws generation conflict; `invalid` for a trait that is not known. */
  putTraits(uuid: string, traits: ProviderTraits, options?: CallOptions): Promise<ProviderTraits>;

  getAggregates(uuid: string, options?: CallOptions): Promise<ProviderAggregates>;
  /** Replaces them all. @throws generation conflict. */
  putAggregates(uuid: string, aggregates: ProviderAggregates, options?: CallOptions): Promise<ProviderAggregates>;

  /** @throws `not_found` (provider). */
  providerAllocations(uuid: string, options?: CallOptions): Promise<ProviderAllocations>;
  getAllocations(consumer: string, options?: CallOptions): Promise<ConsumerAllocations>;
  /** Replaces a consumer's; none left removes it. @throws generation conflict; `exhausted` when a provider has not that much. */
  putAllocations(consumer: string, allocations: ConsumerAllocations, options?: CallOptions): Promise<void>;
  /** Replaces those of several consumers at once. @throws as `putAllocations`. */
  postAllocations(byConsumer: Readonly<Record<string, ConsumerAllocations>>, options?: CallOptions): Promise<void>;
  /**
   * Gives what `from` holds to `to`, in one step, as a revert of a migration does. What `to` held is dropped. False: `from` holds nothing, so
   * there was nothing to move (or it was moved before).
   */
  moveAllocations(from: string, to: string, options?: CallOptions): Promise<boolean>;
  /** Drops all that the consumer holds, whoever writes meanwhile. One that holds nothing is fine. */
  deleteAllocations(consumer: string, options?: CallOptions): Promise<void>;
}

/** Traits and generations since 1.6, aggregates' since 1.19, roots 1.14, error codes 1.23, consumer generations 1.28. */
const microversion = '1.28';

/** Placement as the caller sees it. */
export function createPlacement(caller: Caller): Placement {
  const client = caller.service('placement');
  const send = (request: Omit<ServiceRequest, 'microversion'>, options?: CallOptions): Promise<HttpAnswer> =>
    client.send({ ...request, microversion }, options);
  const provider = (uuid: string, part = ''): string => `resource_providers/${encodeURIComponent(uuid)}${part}`;

  async function providers(query: Readonly<Record<string, string>>, options?: CallOptions) {
    const { json } = await send({ doing: 'list providers', method: 'GET', path: 'resource_providers', query }, options);
    return objectsIn(json, 'resource_providers').map(readProvider);
  }

  const placement: Placement = {
    providersInTree: (uuid, options) => providers({ in_tree: uuid }, options),
    async findProviderByName(name, options) {
      return (await providers({ name }, options))[0] ?? null;
    },
    async createProvider({ uuid, name, parentUuid }, options) {
      const json = defined({ uuid, name, parent_provider_uuid: parentUuid });
      const doing = `create provider ${uuid}`;
      const answer = await send({ doing, method: 'POST', path: 'resource_providers', json }, options);
      return readProvider(objectOf(answer.json, 'provider'));
    },
    async ensureProvider(wanted, options) {
      const find = async () =>
        (await placement.providersInTree(wanted.uuid, options)).find(({ uuid }) => uuid === wanted.uuid);
      const found = await find();
      if (found) return found;
      try {
        return await placement.createProvider(wanted, options);
      } catch (error) {
        // made meanwhile, or by a try of ours whose answer was lost
        const made = hasCode(error, 'conflict') || hasCode(error, 'unavailable') ? await find() : undefined;
        if (made) return made;
        throw error;
      }
    },
    async deleteProvider(uuid, options) {
      await unless(
        'not_found',
        send({ doing: `delete provider ${uuid}`, method: 'DELETE', path: provider(uuid) }, options),
      );
    },

    async getInventories(uuid, options) {
      const doing = `show inventories of ${uuid}`;
      return readInventories(
        (await send({ doing, method: 'GET', path: provider(uuid, '/inventories') }, options)).json,
      );
    },
    async putInventories(uuid, { generation, inventories }, options) {
      const json = {
        resource_provider_generation: generation,
        inventories: Object.fromEntries(
          Object.entries(inventories).map(([name, each]) => [name, writeInventory(each)]),
        ),
      };
      const doing = `set inventories of ${uuid}`;
      return readInventories(
        (await send({ doing, method: 'PUT', path: provider(uuid, '/inventories'), json }, options)).json,
      );
    },
    async ensureResourceClass(name, options) {
      const path = `resource_classes/${encodeURIComponent(name)}`;
      await send({ doing: `create resource class ${name}`, method: 'PUT', path }, options);
    },

    async knownTraits(names, options) {
      if (names.length === 0) return [];
      const query = { name: `in:${names.join(',')}` };
      const { json } = await send({ doing: 'list traits', method: 'GET', path: 'traits', query }, options);
      return textsOf(objectOf(json, 'traits'), 'traits');
    },
    async ensureTrait(name, options) {
      await send({ doing: `create trait ${name}`, method: 'PUT', path: `traits/${encodeURIComponent(name)}` }, options);
    },
    async getTraits(uuid, options) {
      return readTraits(
        (await send({ doing: `show traits of ${uuid}`, method: 'GET', path: provider(uuid, '/traits') }, options)).json,
      );
    },
    async putTraits(uuid, { generation, traits }, options) {
      const json = { resource_provider_generation: generation, traits };
      const doing = `set traits of ${uuid}`;
      const put = send({ doing, method: 'PUT', path: provider(uuid, '/traits'), json }, options);
      return readTraits((await put).json);
    },

    async getAggregates(uuid, options) {
      const doing = `show aggregates of ${uuid}`;
      return readAggregates((await send({ doing, method: 'GET', path: provider(uuid, '/aggregates') }, options)).json);
    },
    async putAggregates(uuid, { generation, aggregates }, options) {
      const json = { resource_provider_generation: generation, aggregates };
      const doing = `set aggregates of ${uuid}`;
      return readAggregates(
        (await send({ doing, method: 'PUT', path: provider(uuid, '/aggregates'), json }, options)).json,
      );
    },

    async providerAllocations(uuid, options) {
      const doing = `show allocations of provider ${uuid}`;
      const { json } = await send({ doing, method: 'GET', path: provider(uuid, '/allocations') }, options);
      const data = objectOf(json, 'allocations');
      return { generation: numberOf(data, 'resource_provider_generation'), allocations: readResources(data) };
    },
    async getAllocations(consumer, options) {
      const doing = `show allocations of ${consumer}`;
      const path = `allocations/${encodeURIComponent(consumer)}`;
      const data = objectOf((await send({ doing, method: 'GET', path }, options)).json, 'allocations');
      return {
        allocations: readResources(data),
        projectId: optionalText(data, 'project_id'),
        userId: optionalText(data, 'user_id'),
        consumerGeneration: optionalNumber(data, 'consumer_generation'),
      };
    },
    async putAllocations(consumer, allocations, options) {
      const doing = `set allocations of ${consumer}`;
      const path = `allocations/${encodeURIComponent(consumer)}`;
      await written(send({ doing, method: 'PUT', path, json: writeAllocations(allocations) }, options));
    },
    async postAllocations(byConsumer, options) {
      const json = Object.fromEntries(Object.entries(byConsumer).map(([each, held]) => [each, writeAllocations(held)]));
      const doing = `set allocations of ${Object.keys(byConsumer).join(' and ')}`;
      await written(send({ doing, method: 'POST', path: 'allocations', json }, options));
    },
    moveAllocations: (from, to, options) =>
      retryOnGenerationConflict(async () => {
        const source = await placement.getAllocations(from, options);
        if (Object.keys(source.allocations).length === 0) return false;
        const target = await placement.getAllocations(to, options);
        await placement.postAllocations(
          {
            [from]: { ...source, allocations: {} },
            [to]: { ...source, consumerGeneration: target.consumerGeneration },
          },
          options,
        );
        return true;
      }),
    async deleteAllocations(consumer, options) {
      const path = `allocations/${encodeURIComponent(consumer)}`;
      const sent = () => send({ doing: `delete allocations of ${consumer}`, method: 'DELETE', path }, options);
      await unless('not_found', retryOnGenerationConflict(sent));
    },
  };
  return placement;
}

/** A 409 of an allocation that is no conflict of generations says that a provider has not that much. */
async function written(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (isGenerationConflict(error)) throw error;
    await recoded('conflict', 'exhausted', Promise.reject(error));
  }
}
