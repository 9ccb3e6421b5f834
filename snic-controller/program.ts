import { resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import type { Log } from '../core/ports/log.ts';
import { createRpcServer, type RpcAddress } from '../kit/json-rpc/server.ts';
import { lockState } from '../kit/state-lock.ts';
import type { Backend } from './backends/backend.ts';
import { errorObject } from './server/errors.ts';
import { createDispatch } from './server/methods.ts';
import { createSnicService } from './service/service.ts';
import { type FunctionStore, openFunctionStore } from './store/store.ts';

/** What the program is put together of. */
export interface ProgramParts {
  readonly stateDir: string;
  readonly address: RpcAddress;
  readonly maxRequestBytes: number;
  readonly maxConnections: number;
  /** Opened only once the state directory is ours. */
  openBackend(): Promise<Backend>;
  readonly log: Log;
  /** For crash tests: stands between service and store. */
  wrapStore?(store: FunctionStore): FunctionStore;
}

/** The running program. */
export interface Program {
  /** Lets requests end for a while, and leaves the rest to the next start. */
  stop(): Promise<void>;
}

/** How long requests may go on after the program was asked to stop, in milliseconds. */
const drainMs = 10_000;

/** Starts it: what was unfinished is finished or adopted first, then it listens. @throws DpuError `conflict` when it runs already. */
export async function startProgram(parts: ProgramParts): Promise<Program> {
  const { stateDir, address, log } = parts;
  const lock = lockState(stateDir);
  const undo: (() => void | Promise<void>)[] = [() => lock.release()];
  const unwind = async (): Promise<void> => {
    for (const each of undo.splice(0).reverse()) await each();
  };
  try {
    const opened = openFunctionStore(resolve(stateDir, 'snic-controller.db'));
    undo.push(() => opened.close());
    const store = parts.wrapStore?.(opened) ?? opened;
    const backend = await parts.openBackend();
    undo.push(() => backend.close());
    const service = createSnicService({ store, backend, log });
    undo.push(() => service.close());
    await service.settle();
    const dispatch = createDispatch(service);
    const server = createRpcServer({
      maxBytes: parts.maxRequestBytes,
      maxConnections: parts.maxConnections,
      errorOf: errorObject,
      handle: async (call) => {
        try {
          const result = await dispatch(call);
          log.debug('request answered', { method: call.method });
          return result;
        } catch (error) {
          const object = errorObject(error);
          const isOurs =
            object.data?.code === 'internal' || (error instanceof DpuError && error.details?.disk !== undefined);
          const level = isOurs ? 'error' : 'info';
          log[level]('request refused', { method: call.method, error });
          throw error;
        }
      },
    });
    await server.listen(address);
    undo.push(() => server.close(drainMs));
    log.info('snic-controller listens', { socket: address.path, backend: backend.name });
    return { stop: unwind };
  } catch (error) {
    await unwind();
    throw error;
  }
}
