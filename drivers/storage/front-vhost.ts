import { ensureVhostBlkController, type SpdkClient, vhost } from 'spdk-client';
import type { Clock } from '../../core/ports/clock.ts';
import { asId, type FunctionId } from '../../core/units.ts';
import type { FrontEnd, Served } from './front-end.ts';
import { stopController } from './stop-controller.ts';

/**
 * vhost-user-blk: a controller bears its function's id as name, which is how snic-controller's backend finds it. SPDK lets two controllers write
 * one bdev: `ensureVhostBlkController` does not, but for a volume that is shared on purpose.
 */
export function vhostFrontEnd(spdk: SpdkClient, clock: Clock): FrontEnd {
  return {
    async list(options) {
      const all = await spdk.call(vhost.list, {}, options);
      return all.flatMap(({ ctrlr, backend_specific: { block } }): readonly Served[] =>
        block === undefined
          ? []
          : [{ functionId: asId<FunctionId>(ctrlr), bdev: block.bdev, readOnly: block.readonly }],
      );
    },
    async serve({ functionId, readOnly, shared }, bdevName, options) {
      const params = { ctrlr: functionId, dev_name: bdevName, ...(readOnly ? { readonly: true } : {}) };
      await ensureVhostBlkController(spdk, params, { ...options, allowShared: shared });
    },
    async stop(functionId, options) {
      await stopController(spdk, clock, functionId, options);
    },
  };
}
