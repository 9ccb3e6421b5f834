import { open } from 'node:fs/promises';
import { DpuError } from '../../../core/errors.ts';

/** What an image file is. */
export interface ImageFormat {
  readonly format: 'raw' | 'qcow2';
  /** Bytes of the disk in it. */
  readonly sizeBytes: number;
}

/** First bytes of formats that are refused; what has no such bytes is raw. */
const refused: readonly (readonly [string, number, string])[] = [
  ['KDMV', 0, 'VMDK'],
  ['vhdxfile', 0, 'VHDX'],
  ['conectix', 0, 'VHD'],
  ['QED\0', 0, 'QED'],
  ['<<< ', 0, 'VDI'],
];

/**
 * Looks at a file's first bytes. A qcow2 image that names other files is refused: whoever brought it could read any file of the SoC
 * (QEMU docs/interop/qcow2.txt: backing file, external data file).
 * @throws DpuError `invalid` (such an image, or a format that is not known here), `not_found`.
 */
export async function imageFormat(path: string): Promise<ImageFormat> {
  const file = await openImage(path);
  try {
    const head = Buffer.alloc(104);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    if (bytesRead >= 72 && head.readUInt32BE(0) === 0x514649fb) return qcow2(head);
    for (const [magic, at, name] of refused) {
      if (head.subarray(at, at + magic.length).toString('latin1') === magic) {
        throw new DpuError('invalid', `an image is ${name}: only raw and qcow2 are taken`);
      }
    }
    const { size } = await file.stat();
    if (size === 0) throw new DpuError('invalid', 'an image is empty');
    return { format: 'raw', sizeBytes: Math.ceil(size / 512) * 512 };
  } finally {
    await file.close();
  }
}

async function openImage(path: string): ReturnType<typeof open> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw new DpuError('not_found', 'an image can not be read', { cause });
  }
}

function qcow2(head: Buffer): ImageFormat {
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new DpuError('invalid', `an image is qcow2 of version ${version}`);
  if (head.readBigUInt64BE(8) !== 0n) throw new DpuError('invalid', 'an image lies on another file');
  if (head.readUInt32BE(32) !== 0) throw new DpuError('invalid', 'an image is encrypted');
  const externalData = 4n;
  if (version === 3 && (head.readBigUInt64BE(72) & externalData) !== 0n) {
    throw new DpuError('invalid', 'an image has its data in another file');
  }
  return { format: 'qcow2', sizeBytes: Number(head.readBigUInt64BE(24)) };
}
