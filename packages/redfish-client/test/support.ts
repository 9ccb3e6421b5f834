import { connectRedfish, type Notice, type RedfishClient, type RedfishOptions } from '../src/index.ts';
import type { BmcOptions } from './bmc/options.ts';
import { type Bmc, PASSWORD, startBmc, USER } from './bmc/server.ts';

/** A BMC and a client of it that end with the test. */
export type Bench = {
  readonly bmc: Bmc;
  readonly client: RedfishClient;
  readonly notices: Notice[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** Options of a client that is quick to poll and repeat. */
export function quick(bmc: Bmc, options: Partial<RedfishOptions> = {}): RedfishOptions {
  return {
    url: bmc.url,
    auth: { kind: 'session', username: USER, password: PASSWORD },
    tls: { fingerprints: [bmc.fingerprint] },
    pollMs: 1,
    backoff: { baseMs: 1, maxMs: 2 },
    ...options,
  };
}

/** Starts a BMC and connects to it. */
export async function bench(options: BmcOptions = {}, clientOptions: Partial<RedfishOptions> = {}): Promise<Bench> {
  const bmc = await startBmc(options);
  const notices: Notice[] = [];
  const client = connectRedfish(quick(bmc, { onNotice: (notice) => notices.push(notice), ...clientOptions }));
  return {
    bmc,
    client,
    notices,
    async [Symbol.asyncDispose]() {
      await client.close();
      await bmc.stop();
    },
  };
}
