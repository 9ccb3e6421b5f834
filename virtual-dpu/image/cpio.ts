/** An entry of a cpio archive: a file with content, a directory, a symbolic link, or a character device. */
export interface CpioEntry {
  /** Relative, without a leading slash. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link' | 'device';
  /** Permission bits; default 0755 for directories, 0644 for files. */
  readonly mode?: number;
  /** file: its content. link: where it leads. */
  readonly content?: Buffer | string;
  /** device: major and minor number. */
  readonly device?: readonly [number, number];
}

const typeBits = { file: 0o100000, directory: 0o040000, link: 0o120000, device: 0o020000 } as const;
const defaultMode = { file: 0o644, directory: 0o755, link: 0o777, device: 0o600 } as const;

/** A cpio archive in the `newc` form, which the kernel unpacks as initial RAM disk (Documentation/driver-api/early-userspace/buffer-format). All is root's. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const add = (name: string, inode: number, mode: number, content: Buffer, device: readonly [number, number]): void => {
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    parts.push(padded(Buffer.from(header, 'latin1')), padded(content));
  };
  for (const [index, { path, kind, mode, content = '', device }] of entries.entries()) {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    add(path, index + 1, typeBits[kind] | (mode ?? defaultMode[kind]), bytes, device ?? [0, 0]);
  }
  add('TRAILER!!!', 0, 0, Buffer.alloc(0), [0, 0]);
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
