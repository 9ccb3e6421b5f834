import { parseArgs } from 'node:util';
import { DpuError } from '../../core/errors.ts';
import { buildImage } from './build-image.ts';
import { buildDebianImage } from './debian.ts';

/** How `image` is used, for people. */
export const IMAGE_USAGE = `virtual-dpu image small OUTPUT [--hostname NAME] [--banner TEXT]
virtual-dpu image debian OUTPUT [--size MIB] [--suite bookworm] [--mirror URL]`;

/**
 * `virtual-dpu image …`: makes a guest's disk image and prints its path. A root password comes in the environment variable
 * GUEST_PASSWORD, since arguments are seen by everybody.
 * @throws DpuError `invalid` for wrong arguments, and what the builders throw.
 */
export async function imageCommand(
  argv: readonly string[],
  print: (line: string) => void = console.log,
): Promise<void> {
  const { values, positionals } = parse(argv);
  const [kind, output, ...rest] = positionals;
  if (output === undefined || rest.length > 0) throw new DpuError('invalid', `usage: ${IMAGE_USAGE}`);
  const { GUEST_PASSWORD: password } = process.env;
  const shared = { output, ...(password === undefined ? {} : { password }) };
  const { hostname, banner, size, suite, mirror } = values;
  switch (kind) {
    case 'small':
      print(
        await buildImage({
          ...shared,
          ...(hostname === undefined ? {} : { hostname }),
          ...(banner === undefined ? {} : { banner }),
        }),
      );
      return;
    case 'debian':
      print(
        await buildDebianImage({
          ...shared,
          ...(size === undefined ? {} : { sizeBytes: Number(size) * 1024 * 1024 }),
          ...(suite === undefined ? {} : { suite }),
          ...(mirror === undefined ? {} : { mirror }),
        }),
      );
      return;
    default:
      throw new DpuError('invalid', `there is no image ${kind}; usage: ${IMAGE_USAGE}`);
  }
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { hostname: text, banner: text, size: text, suite: text, mirror: text },
    });
  } catch (cause) {
    throw new DpuError('invalid', `usage: ${IMAGE_USAGE}`, { cause });
  }
}
