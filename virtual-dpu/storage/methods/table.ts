import type { Method } from '../face.ts';
import { bdevMethods } from './bdev.ts';
import { frameworkMethods } from './framework.ts';
import { lvolMethods } from './lvol.ts';
import { moduleMethods } from './modules.ts';
import { nvmeMethods } from './nvme.ts';
import { nvmfMethods } from './nvmf.ts';
import { vhostMethods } from './vhost.ts';

/** Every method there is, by its name. */
export const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries({
    ...moduleMethods,
    ...nvmeMethods,
    ...lvolMethods,
    ...nvmfMethods,
    ...vhostMethods,
    ...bdevMethods,
    ...frameworkMethods(() => [...METHODS.keys()]),
  }),
);
