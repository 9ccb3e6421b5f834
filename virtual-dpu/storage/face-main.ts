/** The SPDK face as a program: `face-main.ts SETTINGS`, FaceSettings in JSON. It ends when its storage daemon does, and the other way round. */
import { DpuError } from '../../core/errors.ts';
import { createLog } from '../../kit/log.ts';
import type { FaceSettings } from './face.ts';
import { startFace } from './start-face.ts';

const log = createLog('info', 'spdk-face');
const [, , text = ''] = process.argv;
const settings = JSON.parse(text) as FaceSettings;
try {
  const face = await startFace(settings, log);
  log.info('the SPDK face answers', { socket: settings.socket, storageDaemon: face.storageDaemon });
  let ending = false;
  const end = () => {
    ending = true;
    void face.end();
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  await face.ended;
  if (!ending) log.error('the storage daemon has ended, and the face with it');
  process.exit(ending ? 0 : 1);
} catch (error) {
  log.error('the SPDK face can not start', { error });
  process.exit(error instanceof DpuError ? 1 : 70);
}
