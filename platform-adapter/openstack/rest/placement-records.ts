import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { numberMap, numberOf, objectIn, objectOf, optionalText, textOf, textsOf } from './fields.ts';
import type {
  ConsumerAllocations,
  Inventory,
  ProviderAggregates,
  ProviderInventories,
  ProviderTraits,
  ResourceProvider,
  Resources,
} from './placement.ts';

/** A provider as Placement writes it. @throws `unavailable`. */
export function readProvider(data: JsonObject): ResourceProvider {
  const uuid = textOf(data, 'uuid');
  return {
    uuid,
    name: textOf(data, 'name'),
    generation: numberOf(data, 'generation'),
    parentUuid: optionalText(data, 'parent_provider_uuid'),
    rootUuid: optionalText(data, 'root_provider_uuid') ?? uuid,
  };
}

/** A provider's inventories as Placement writes them. @throws `unavailable`. */
export function readInventories(json: Json): ProviderInventories {
  const data = objectOf(json, 'inventories');
  const each = objectIn(data, 'inventories');
  return {
    generation: numberOf(data, 'resource_provider_generation'),
    inventories: Object.fromEntries(Object.keys(each).map((name) => [name, readInventory(objectIn(each, name))])),
  };
}

function readInventory(data: JsonObject): Inventory {
  return {
    total: numberOf(data, 'total'),
    reserved: numberOf(data, 'reserved'),
    minUnit: numberOf(data, 'min_unit'),
    maxUnit: numberOf(data, 'max_unit'),
    stepSize: numberOf(data, 'step_size'),
    allocationRatio: numberOf(data, 'allocation_ratio'),
  };
}

/** An inventory as Placement takes it. */
export function writeInventory(each: Inventory): JsonObject {
  return {
    total: each.total,
    reserved: each.reserved,
    min_unit: each.minUnit,
    max_unit: each.maxUnit,
    step_size: each.stepSize,
    allocation_ratio: each.allocationRatio,
  };
}

/** A provider's traits as Placement writes them. @throws `unavailable`. */
export function readTraits(json: Json): ProviderTraits {
  const data = objectOf(json, 'traits');
  return { generation: numberOf(data, 'resource_provider_generation'), traits: textsOf(data, 'traits') };
}

/** A provider's aggregates as Placement writes them. @throws `unavailable`. */
export function readAggregates(json: Json): ProviderAggregates {
  const data = objectOf(json, 'aggregates');
  return { generation: numberOf(data, 'resource_provider_generation'), aggregates: textsOf(data, 'aggregates') };
}

/** Amounts by consumer, or by provider. @throws `unavailable`. */
export function readResources(data: JsonObject): Readonly<Record<string, Resources>> {
  const held = objectIn(data, 'allocations');
  return Object.fromEntries(Object.keys(held).map((each) => [each, numberMap(objectIn(held, each), 'resources')]));
}

/** A consumer's allocations as Placement takes them. @throws DpuError `invalid` where project or user is missing. */
export function writeAllocations({
  allocations,
  projectId,
  userId,
  consumerGeneration,
}: ConsumerAllocations): JsonObject {
  if (projectId === null || userId === null) {
    throw new DpuError('invalid', 'an allocation is of a project and a user', { field: 'projectId' });
  }
  return {
    allocations: Object.fromEntries(Object.entries(allocations).map(([each, resources]) => [each, { resources }])),
    project_id: projectId,
    user_id: userId,
    consumer_generation: consumerGeneration,
  };
}
