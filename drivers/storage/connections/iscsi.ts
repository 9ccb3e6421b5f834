import { createIfAbsent, findBdev, iscsi, RpcError } from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Backend, ConnectionContext } from './backend.ts';
import { listOf, numberOf, requireText, textOf, wrong } from './fields.ts';

/** RFC 7143 4.2.7. */
const namePattern = /^(iqn|eui|naa)\.[\w.:-]{1,219}$/;

/**
 * An iSCSI volume as os-brick knows it; the plural forms win. libiscsi has one path: the portals are tried in turn. `initiator_iqn` is ours: the name
 * that the target was told, where it is another than the settings'. @throws DpuError `invalid`.
 */
export function iscsiBackend(data: JsonObject, context: ConnectionContext): Backend {
  const urls = targetsOf(data).map((target) => urlOf(target, data));
  const initiator = textOf(data, 'initiator_iqn') ?? context.initiatorIqn;
  if (!namePattern.test(initiator)) throw wrong('initiator_iqn', 'is no name of an initiator');
  const name = `vol-${context.volumeId}`;
  return {
    kind: 'iscsi',
    name,
    async open(spdk, options) {
      let problem: unknown;
      for (const url of urls) {
        try {
          const request = { name, initiator_iqn: initiator, url };
          await createIfAbsent(
            () => spdk.call(iscsi.create, request, options),
            () => findBdev(spdk, name, options),
          );
          problem = undefined;
          break;
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          problem = error;
        }
      }
      if (problem !== undefined) throw problem;
      const found = await findBdev(spdk, name, options);
      if (!found) throw new DpuError('hardware', `the block device of volume ${context.volumeId} went away`);
      return found;
    },
  };
}

interface Target {
  readonly portal: string;
  readonly iqn: string;
  readonly lun: number;
}

function targetsOf(data: JsonObject): readonly Target[] {
  const portals = listOf(data, 'target_portals');
  const iqns = listOf(data, 'target_iqns');
  const luns = listOf(data, 'target_luns');
  if (!portals || !iqns || portals.length === 0) {
    return [
      {
        portal: requireText(data, 'target_portal'),
        iqn: requireText(data, 'target_iqn'),
        lun: numberOf(data, 'target_lun') ?? 0,
      },
    ];
  }
  return portals.map((portal, index): Target => {
    const iqn = iqns[index] ?? iqns[0];
    const lun = luns?.[index] ?? luns?.[0] ?? 0;
    if (typeof portal !== 'string' || typeof iqn !== 'string') throw wrong('target_portals', 'is not text');
    if (typeof lun !== 'number') throw wrong('target_luns', 'is not a number');
    return { portal, iqn, lun };
  });
}

/** libiscsi's URL; its user part is split at `%`. */
function urlOf({ portal, iqn, lun }: Target, data: JsonObject): string {
  const method = textOf(data, 'auth_method');
  if (method === undefined || method === 'None') return `iscsi://${portal}/${iqn}/${lun}`;
  if (method !== 'CHAP') throw wrong('auth_method', 'is neither CHAP nor None');
  const [user, password] = [requireText(data, 'auth_username'), requireText(data, 'auth_password')];
  if (/[%@/]/.test(user) || /[%@/]/.test(password))
    throw wrong('auth_password', 'has characters that libiscsi can not take');
  return `iscsi://${user}%${password}@${portal}/${iqn}/${lun}`;
}
