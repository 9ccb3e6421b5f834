import type { CallOptions } from './http.ts';

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
