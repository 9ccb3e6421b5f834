import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { createHttpClient, type HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import {
  type Credentials,
  createKeystone,
  type KeystoneSession,
  type Token,
  type UserAuth,
} from '../../platform-adapter/openstack/rest/keystone.ts';
import { NODES } from './support/nodes.ts';

/** A control plane that somebody brought up for tests. */
export interface ControlPlane {
  readonly authUrl: string;
  readonly region: string;
  readonly admin: Credentials & { readonly kind: 'password' };
  /** The user of the compute services. */
  readonly service: Credentials & { readonly kind: 'password' };
}

/**
 * Hosts that ports can be bound to: those that DPU_COMPUTE_OPENSTACK_CHASSIS names with commas between, for a control plane of somebody's own; or else
 * the tests' nodes.
 */
export const chassis: readonly string[] =
  process.env.DPU_COMPUTE_OPENSTACK_CHASSIS?.split(',') ?? Object.values(NODES).map(({ hostname }) => hostname);

/** Who the tests' compute services sign in as; its password is in DPU_COMPUTE_NOVA_PASSWORD, or else the admin's. */
const serviceUser = { username: 'nova', project: 'service' } as const;

/** What DPU_COMPUTE_OPENSTACK, the path of an openrc file, tells of; undefined where it is not set: then tests are skipped. */
export function controlPlane(): ControlPlane | undefined {
  const file = process.env.DPU_COMPUTE_OPENSTACK;
  if (!file) return undefined;
  const set = new Map(
    [...readFileSync(file, 'utf8').matchAll(/\b(OS_[A-Z_]+)=("[^"]*"|'[^']*'|\S+)/g)].map(
      ([, name = '', value = '']) => [name, value.replace(/^(["'])(.*)\1$/, '$2')],
    ),
  );
  const get = (name: string): string => {
    const value = set.get(name);
    if (value === undefined) throw new Error(`${file} does not set ${name}`);
    return value;
  };
  const admin = {
    kind: 'password',
    username: get('OS_USERNAME'),
    password: get('OS_PASSWORD'),
    userDomain: get('OS_USER_DOMAIN_NAME'),
    project: get('OS_PROJECT_NAME'),
    projectDomain: get('OS_PROJECT_DOMAIN_NAME'),
  } as const;
  const password = process.env.DPU_COMPUTE_NOVA_PASSWORD ?? admin.password;
  return {
    authUrl: get('OS_AUTH_URL'),
    region: get('OS_REGION_NAME'),
    admin,
    service: { ...admin, ...serviceUser, password },
  };
}

/** A session of its own with the machine's own clock. */
export function signIn(
  { authUrl, region }: ControlPlane,
  credentials: Credentials,
): { readonly session: KeystoneSession; readonly http: HttpClient } {
  const http = createHttpClient({ clock: systemClock, random: systemRandom, log: silentLog, tls: { caFile: null } });
  const session = createKeystone({ authUrl, region, credentials }, { http, clock: systemClock });
  return { session, http };
}

/** Says on the tests' output that they did not run, and how to have them run. */
export function warnIfSkipped(plane: ControlPlane | undefined, what: string): void {
  if (!plane) console.warn(`SKIPPED: ${what} were not tried on a control plane; DPU_COMPUTE_OPENSTACK names none`);
}

/** What the tests of one file share: sessions, and what is to be taken back at their end, newest first. */
export interface SignedIn {
  /** In every name that the tests make. */
  readonly run: string;
  readonly undo: (() => Promise<unknown>)[];
  /** As the compute services' user. */
  service(): KeystoneSession;
  /** The admin as if a request had come from there. */
  user(): UserAuth;
  us(): Token;
}

/** Registers hooks: signs in before the tests, and takes back after them; what can't be taken back fails them. */
export function signedIn(plane: ControlPlane | undefined): SignedIn {
  const undo: SignedIn['undo'] = [];
  let held: { readonly service: KeystoneSession; readonly user: UserAuth; readonly us: Token } | undefined;

  beforeAll(async () => {
    if (!plane) return;
    const admin = signIn(plane, plane.admin).session;
    const token = await admin.token();
    admin.close();
    const { session } = signIn(plane, plane.service);
    held = { service: session, user: { token: token.id, projectId: token.projectId ?? '' }, us: await session.token() };
  });

  afterAll(async () => {
    const left: unknown[] = [];
    for (const each of undo.reverse()) await each().catch((error: unknown) => left.push(error));
    held?.service.close();
    expect(left).toEqual([]);
  });

  const get = () => {
    if (!held) throw new Error('nobody is signed in');
    return held;
  };
  return {
    run: `rest-${randomUUID().slice(0, 8)}`,
    undo,
    service: () => get().service,
    user: () => get().user,
    us: () => get().us,
  };
}
