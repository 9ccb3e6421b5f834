/** The three generations of NVIDIA's SNAP, by the names of their methods. */
export type SnapGeneration = 'snap-3' | 'snap-4-early' | 'snap-4';

/** Which generation of SNAP answers, told by what `rpc_get_methods` lists; undefined where it is a plain SPDK. */
export function snapGeneration(methods: readonly string[]): SnapGeneration | undefined {
  const has = new Set(methods);
  if (has.has('nvme_function_create') || has.has('virtio_blk_function_create')) return 'snap-4';
  if (has.has('emulation_function_list')) return 'snap-4-early';
  if (has.has('emulation_functions_list')) return 'snap-3';
  return undefined;
}
