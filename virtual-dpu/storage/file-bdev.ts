import { stat } from 'node:fs/promises';
import type { Bdev, IoType } from './bdevs.ts';
import type { Face } from './face.ts';
import { addThrottle } from './qos.ts';
import { addNodes, nodeSize, removeNodes } from './qsd.ts';
import { errno, errnoOf } from './rpc-error.ts';

/** A bdev over a file to make. */
export interface FileBdev {
  readonly name: string;
  readonly uuid?: string;
  readonly filename: string;
  readonly module: 'aio' | 'malloc';
  readonly productName: string;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly ioTypes: readonly IoType[];
  readonly driverSpecific: () => object;
  readonly config: { readonly method: string; readonly params: object };
  /** What is left to do once the file is closed. */
  readonly after?: () => Promise<void>;
}

/** Opens a file, or a block device of the kernel, as a bdev. @throws RpcError with the system call's error; `EINVAL` for a size that is no multiple of blocks */
export async function openFile(face: Face, spec: FileBdev): Promise<Bdev> {
  const info = await stat(spec.filename).catch((error: unknown) => {
    throw errnoOf(error);
  });
  const device = info.isBlockDevice();
  if (!device && !info.isFile()) throw errno(info.isDirectory() ? 'EISDIR' : 'EINVAL');
  if (!device && info.size % spec.blockSize !== 0) throw errno('EINVAL');
  const node = face.qsd.name('node');
  try {
    await addNodes(face.qsd, [
      {
        driver: device ? 'host_device' : 'file',
        'node-name': node,
        filename: spec.filename,
        'read-only': spec.readOnly,
        discard: 'unmap',
      },
    ]);
  } catch (error) {
    face.log.warn('the storage daemon can not open a file', { file: spec.filename, error });
    throw errno('EACCES');
  }
  const filters = await addThrottle(face.qsd, node);
  return await face.bdevs.add({
    name: spec.name,
    ...(spec.uuid !== undefined && { uuid: spec.uuid }),
    module: spec.module,
    productName: spec.productName,
    blockSize: spec.blockSize,
    sizeBytes: await nodeSize(face.qsd, node),
    readOnly: spec.readOnly,
    ioTypes: spec.ioTypes,
    node: filters.node,
    throttle: filters.throttle,
    writeThrough: false,
    file: spec.filename,
    driverSpecific: spec.driverSpecific,
    config: spec.config,
    destroy: async () => {
      await filters.remove();
      await removeNodes(face.qsd, [node]);
      await spec.after?.();
    },
  });
}
