import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Broker, isRunning, startBroker, stopBroker, wipeBroker } from '../../tools/rabbitmq.ts';

/** How long a broker may take to start: ten seconds of work, on a machine that has ten times too much to do. */
const READY_MS = 180_000;

/** A RabbitMQ for one test file. */
export type TestRabbit = {
  readonly url: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Pid of the broker that runs now; changes with a restart. */
  readonly pid: number;
  /** Whether it runs, by the same sign as `down` goes by: a process that is dying may have its pid for a while. */
  readonly running: boolean;
  /** Ends the broker and leaves its data for `restart`. */
  down(options?: { readonly hard?: boolean }): Promise<void>;
  /** Ends the broker, if it runs, and starts it again on the same port; `wipe` loses every queue, exchange and message. */
  restart(options?: { readonly wipe?: boolean }): Promise<void>;
  /** Ends the broker and removes its folder. May be called twice. */
  stop(): Promise<void>;
};

/**
 * Starts a private broker (see tools/rabbitmq.ts) in a temporary folder or in `dir`; ready when it returns.
 * It is killed when the test process ends.
 */
export async function startRabbit(options: { readonly dir?: string } = {}): Promise<TestRabbit> {
  const dir = options.dir ?? (await mkdtemp(path.join(tmpdir(), 'rabbit-')));
  let broker: Broker = await startBroker({ dir, readyMs: READY_MS });
  const killAtExit = () => {
    try {
      process.kill(broker.pid, 'SIGKILL');
    } catch {
      // it has ended before us
    }
  };
  process.once('exit', killAtExit);
  return {
    url: broker.url,
    port: broker.port,
    user: broker.user,
    password: broker.password,
    get pid() {
      return broker.pid;
    },
    get running() {
      return isRunning(broker);
    },
    down: (how) => stopBroker(broker, how),
    async restart(how = {}) {
      await stopBroker(broker, { hard: how.wipe ?? false });
      if (how.wipe) await wipeBroker(broker);
      broker = await startBroker({ dir, readyMs: READY_MS });
    },
    async stop() {
      await stopBroker(broker, { hard: true });
      process.off('exit', killAtExit);
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}
