import type { NodeStore } from '../../core/ports/node-store.ts';
import type { InstanceId } from '../../core/units.ts';

/** What an instance may know of itself: what DHCP and metadata of local networks are made of. */
export interface InstanceFacts {
  readonly id: InstanceId;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  /** As the request gave it; null where it gave none, or none that is kept. */
  readonly userData: string | null;
}

/** Reads it from the store. */
export function localSource(store: Pick<NodeStore, 'ports' | 'getInstance' | 'listOperations' | 'readSecret'>): {
  ports: NodeStore['ports'];
  instance(id: InstanceId): Promise<InstanceFacts | null>;
} {
  async function userDataOf(instance: InstanceId): Promise<string | null> {
    const { operations } = store.listOperations({ instance, kind: 'build' }, { limit: 1, cursor: null });
    const sealed = operations[0]?.request.userdata as { readonly $secret?: unknown } | null | undefined;
    if (typeof sealed?.$secret !== 'string') return null;
    const value: unknown = JSON.parse(await store.readSecret(sealed.$secret));
    return typeof value === 'string' ? value : null;
  }
  return {
    ports: () => store.ports(),
    async instance(id) {
      const record = store.getInstance(id);
      if (!record || record.state === 'deleted') return null;
      const { name, metadata, sshKeys } = record;
      // a secret that was erased, or was kept for the operation only, is as if there were none
      return { id, name, metadata, sshKeys, userData: await userDataOf(id).catch(() => null) };
    },
  };
}
