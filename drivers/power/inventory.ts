import type { HostInventory } from '../../core/ports/power-controller.ts';
import type { PartialInventory } from './protocol.ts';

/**
 * One inventory of several sources, the most trusted first: each fact comes from the first source that knows it. A number that is not above 0
 * and an empty text are not known; lists are not mixed.
 */
export function joinInventory(sources: readonly PartialInventory[]): HostInventory {
  const text = (pick: (source: PartialInventory) => string | null | undefined): string | null =>
    sources.map((source) => pick(source)?.trim()).find((value) => value !== undefined && value !== '') ?? null;
  const number = (pick: (source: PartialInventory) => number | undefined): number =>
    sources.map(pick).find((value) => value !== undefined && value > 0) ?? 0;
  const list = <Item>(pick: (source: PartialInventory) => readonly Item[] | undefined): readonly Item[] =>
    sources.map(pick).find((items) => items !== undefined && items.length > 0) ?? [];
  return {
    serialNumber: text((source) => source.serialNumber),
    model: text((source) => source.model),
    manufacturer: text((source) => source.manufacturer),
    cpus: number((source) => source.cpus),
    memoryMib: number((source) => source.memoryMib),
    nics: list((source) => source.nics),
    disks: list((source) => source.disks),
  };
}
