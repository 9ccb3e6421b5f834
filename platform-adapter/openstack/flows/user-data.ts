import { gunzipSync } from 'node:zlib';
import type { JsonObject } from '../../../core/units.ts';
import type { NovaInstance } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import { type Flow, sentInstance } from './flow.ts';

/** Longest user data that the node's metadata service takes, in characters; nova's own limit of what is sent is the same. */
const mostUserData = 65_535;

/** RFC 1952 2.3.1. */
const gzipMagic = Buffer.from([0x1f, 0x8b]);

/** @throws BuildAbortException as nova's class: no other host would do better. */
function refused(flow: Flow, reason: string, cause?: unknown): never {
  throw novaError('BuildAbortException', { instance_uuid: flow.instance, reason }, { cause });
}

/** The text of packed user data, which guests unpack themselves otherwise (cloud-init does). */
function unpacked(flow: Flow, bytes: Buffer): Buffer {
  if (!bytes.subarray(0, gzipMagic.length).equals(gzipMagic)) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: 4 * mostUserData });
  } catch (error) {
    return refused(
      flow,
      `user data is no good gzip, or more than ${mostUserData} characters when it is unpacked`,
      error,
    );
  }
}

/**
 * The server's user data as text: nova's is base64, and a gzip is unpacked, since what the node hands on is text.
 * @throws BuildAbortException for other bytes, and for a text that is too long.
 */
export function userDataOf(flow: Flow): string | undefined {
  const { user_data } = sentInstance(flow);
  if (user_data === null || user_data === '') return undefined;
  const bytes = unpacked(flow, Buffer.from(user_data, 'base64'));
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) refused(flow, 'user data must be text, or a gzip of one');
  if (text.length > mostUserData) refused(flow, `user data must not have more than ${mostUserData} characters`);
  return text;
}

/** Whether a disk or NIC that is asked for has a tag, by which its guest is to know it. */
function isTagged({ networks, devices }: JsonObject): boolean {
  const all = [networks, devices].flatMap((each) => (Array.isArray(each) ? (each as readonly JsonObject[]) : []));
  return all.some(({ tag }) => typeof tag === 'string');
}

/** What a build asks for and no node can hand on, or make sure of. @throws BuildAbortException. */
export function refuseUncarried(flow: Flow): void {
  userDataOf(flow);
  if (isTagged(flow.request)) refused(flow, 'the guest would not be told of tags of its devices');
  if ((sentInstance(flow).trusted_certs?.ids.length ?? 0) > 0)
    refused(flow, "images' signatures are not checked against trusted certificates here");
  if (flow.request.files === true)
    refused(flow, 'files cannot be put into volumes; use user data (personality is gone since microversion 2.57)');
}

/** Whether the server is to have a config drive: its user asked for one, or its image needs one (nova.virt.configdrive.required_by). */
export function wantsConfigDrive({
  config_drive: asked,
  system_metadata: metadata,
}: Pick<NovaInstance, 'config_drive' | 'system_metadata'>): boolean {
  return asked !== '' || metadata?.image_img_config_drive === 'mandatory';
}
