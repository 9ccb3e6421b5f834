import type { Answer, RedfishClient } from './client.ts';
import { HttpError } from './errors.ts';
import type { JsonObject } from './json.ts';
import { type Quirks, quirksOf } from './quirks.ts';
import { type CallOptions, pause } from './signals.ts';
import { awaitTask, type PerformOptions } from './task.ts';

/** Options of `patch`. */
export type PatchOptions = CallOptions &
  Pick<PerformOptions, 'onProgress'> & {
    /** ETag of the state the change was made from: a 412 is then the caller's to solve. Without it the newest is read. */
    readonly ifMatch?: string | undefined;
    /** How often a 412 is answered by reading the ETag anew; default 2, 0 when `ifMatch` is given. */
    readonly conflictRetries?: number | undefined;
  };

/**
 * PATCH with `If-Match` (DSP0266 "ETags", "PATCH (update)"), seen through to the end of its task. On 412 the resource is read
 * again and the same change sent with the new ETag, so it is for changes that do not depend on what was read. On 428 without an ETag
 * to send, `*` is sent.
 * @throws HttpError `precondition-failed` when others keep changing it, and as `perform`.
 */
export async function patch(
  client: RedfishClient,
  path: string,
  body: JsonObject,
  options: PatchOptions = {},
): Promise<Answer> {
  using time = client.deadline(`PATCH ${path}`, options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const quirks = await quirksOf(client, limits);
  const retries = options.conflictRetries ?? (options.ifMatch === undefined ? 2 : 0);
  const tried = new Set<string>();
  let tag = options.ifMatch ?? (await firstTag(client, path, quirks, limits));
  for (let attempt = 0; ; attempt++) {
    try {
      const headers = tag === undefined ? undefined : { 'If-Match': tag };
      const answer = await client.request('PATCH', path, { ...limits, body, headers });
      return await awaitTask(client, answer, { ...limits, onProgress: options.onProgress });
    } catch (error) {
      if (!(error instanceof HttpError) || attempt >= Math.max(retries, error.status === 428 ? 1 : 0)) throw error;
      if (error.status === 412) {
        if (tag !== undefined) tried.add(tag);
        tag = nextTag((await client.get(path, limits)).etag, tried);
        await pause(Math.random() * 20 * attempt, time.signal);
      } else if (error.status === 428) tag = (await client.get(path, limits)).etag ?? '*';
      else throw error;
      client.notify({ kind: 'etag-retry', path });
    }
  }
}

async function firstTag(client: RedfishClient, path: string, quirks: Quirks, limits: CallOptions) {
  if (quirks.ifMatch === 'never') return undefined;
  const { etag } = await client.get(path, limits);
  return etag ?? (quirks.ifMatch === 'always' ? '*' : undefined);
}

/** A weak ETag never matches by the strong comparison of If-Match (RFC 9110 13.1.1), so its strong form is tried second. */
function nextTag(etag: string | undefined, tried: ReadonlySet<string>): string | undefined {
  if (etag === undefined || !tried.has(etag)) return etag;
  return etag.startsWith('W/') ? etag.slice(2) : etag;
}
