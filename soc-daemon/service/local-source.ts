import type { Clock } from '../../core/ports/clock.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { InstanceId } from '../../core/units.ts';
import { type GuestPassword, parsePassword, parseUserData } from '../../kit/guest-documents.ts';
import { guestOf } from './guest.ts';
import { passwordLivesMs } from './password-expiry.ts';

/** What an instance may know of itself: what DHCP and metadata of local networks are made of. */
export interface InstanceFacts {
  readonly id: InstanceId;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  /** As the request gave it; null where it gave none, or none that is kept. */
  readonly userData: string | null;
  /** A password that it has still to take over. */
  readonly password: GuestPassword | null;
}

/** Reads it from the store. */
export function localSource(
  store: Pick<NodeStore, 'ports' | 'getInstance' | 'readSecret' | 'change'>,
  clock: Pick<Clock, 'wallMs'>,
): {
  ports: NodeStore['ports'];
  instance(id: InstanceId): Promise<InstanceFacts | null>;
  passwordTaken(id: InstanceId): Promise<void>;
} {
  /** A secret that was erased is as if there were none. */
  async function opened<Value>(id: string | null, read: (text: string) => Value): Promise<Value | null> {
    if (id === null) return null;
    return await store.readSecret(id).then(read, () => null);
  }

  return {
    ports: () => store.ports(),
    async instance(id) {
      const record = store.getInstance(id);
      if (!record || record.state === 'deleted') return null;
      const { name, metadata, sshKeys } = record;
      const { userData, password, passwordUntilMs } = guestOf(record);
      const due = passwordUntilMs !== null && passwordUntilMs <= clock.wallMs();
      return {
        id,
        name,
        metadata,
        sshKeys,
        userData: await opened(userData, parseUserData),
        password: due ? null : await opened(password, parsePassword),
      };
    },
    async passwordTaken(id) {
      const record = store.getInstance(id);
      if (!record) return;
      const guest = guestOf(record);
      if (guest.password === null || guest.passwordUntilMs !== null) return;
      const passwordUntilMs = clock.wallMs() + passwordLivesMs;
      await store.change([{ type: 'instance', id, patch: { guest: { ...guest, passwordUntilMs } } }]);
    },
  };
}
