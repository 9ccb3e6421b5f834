/** What an instance is told of itself, in the forms that cloud-init reads: OpenStack's (nova, "Metadata service") and NoCloud's. */

/** A password that a guest takes over once; never the text itself. */
export interface GuestPassword {
  readonly user: string;
  /** crypt(5), as in shadow(5). */
  readonly hash: string;
  /** Names this password: the guest remembers what it took over. */
  readonly token: string;
}

/** All that it is told. */
export interface GuestFacts {
  readonly id: string;
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  readonly userData: string | null;
  readonly password: GuestPassword | null;
  readonly nics: readonly GuestNic[];
  readonly dns: readonly string[];
}

/** A NIC as the guest is told of it; its address comes by DHCP. */
export interface GuestNic {
  readonly portId: string;
  readonly mac: string;
  readonly mtu: number | null;
  /** Name or id of its network. */
  readonly network: string | null;
}

/** OpenStack's documents. */
export interface GuestDocuments {
  readonly metaData: Readonly<Record<string, unknown>>;
  readonly networkData: Readonly<Record<string, unknown>>;
  readonly vendorData: Readonly<Record<string, unknown>>;
}

/** Makes them. */
export function guestDocuments(facts: GuestFacts): GuestDocuments {
  const { id, name, metadata, sshKeys, password, nics, dns } = facts;
  const script = passwordScript(password);
  return {
    metaData: {
      uuid: id,
      name,
      hostname: name,
      meta: metadata,
      public_keys: Object.fromEntries(sshKeys.map((key, index) => [`key-${index}`, key])),
      launch_index: 0,
      ...(password === null ? {} : { admin_password_hash: password.hash }),
    },
    networkData: {
      links: nics.map(({ portId, mac, mtu }) => ({
        id: portId,
        type: 'phy',
        ethernet_mac_address: mac,
        mtu,
        vif_id: portId,
      })),
      networks: nics.map(({ portId, network }, index) => ({
        id: `network${index}`,
        type: 'ipv4_dhcp',
        link: portId,
        network_id: network,
      })),
      services: dns.map((address) => ({ type: 'dns', address })),
    },
    vendorData: script === null ? {} : { 'cloud-init': script },
  };
}

/** The files of a drive, by path: both forms, so that its label alone says which is looked for. */
export function driveFiles(facts: GuestFacts): Readonly<Record<string, string>> {
  const { metaData, networkData, vendorData } = guestDocuments(facts);
  const { id, name, userData, password, nics, sshKeys } = facts;
  const script = passwordScript(password);
  const ethernets = nics.map(({ mac, mtu }, index) => [
    `nic${index}`,
    { match: { macaddress: mac }, dhcp4: true, ...(mtu === null ? {} : { mtu }) },
  ]);
  return {
    'openstack/latest/meta_data.json': JSON.stringify(metaData),
    'openstack/latest/network_data.json': JSON.stringify(networkData),
    'openstack/latest/vendor_data.json': JSON.stringify(vendorData),
    ...(userData === null ? {} : { 'openstack/latest/user_data': userData }),
    'meta-data': [
      `instance-id: ${JSON.stringify(id)}`,
      `local-hostname: ${JSON.stringify(name)}`,
      `public-keys: ${JSON.stringify(sshKeys)}`,
      ...(password === null ? [] : [`admin-password-hash: ${JSON.stringify(password.hash)}`]),
      '',
    ].join('\n'),
    'user-data': userData ?? '',
    ...(script === null ? {} : { 'vendor-data': script }),
    'network-config': `${JSON.stringify({ version: 2, ethernets: Object.fromEntries(ethernets) })}\n`,
  };
}

/**
 * Vendor data that sets a password. cloud-init sets one itself only once for an instance id, and a new id would renew the host keys too; a boothook
 * runs at every start (cloud-init, "User data formats"), and this one does its work once for each token.
 */
function passwordScript(password: GuestPassword | null): string | null {
  if (password === null) return null;
  const { user, hash, token } = password;
  const mark = '/var/lib/cloud/dpu-compute-password';
  return [
    '#cloud-boothook',
    '#!/bin/sh',
    `[ "$(cat ${mark} 2>/dev/null)" = '${token}' ] && exit 0`,
    `printf '%s\\n' '${user}:${hash}' | chpasswd -e || exit 1`,
    `umask 077; echo '${token}' >${mark}`,
    '',
  ].join('\n');
}

/** Reads a sealed password. @throws SyntaxError, TypeError: it is not what was sealed. */
export function parsePassword(text: string): GuestPassword {
  const value = JSON.parse(text) as Partial<GuestPassword> | null;
  const { user, hash, token } = value ?? {};
  // what goes into a shell script in quotes
  const plain = (part: unknown): part is string => typeof part === 'string' && /^[A-Za-z0-9_.$/-]+$/.test(part);
  if (!plain(user) || !plain(hash) || !plain(token)) throw new TypeError('a sealed password is not what it should be');
  return { user, hash, token };
}

/** Reads sealed user data: the text that the request gave. null for what is none. */
export function parseUserData(text: string): string | null {
  const value: unknown = JSON.parse(text);
  return typeof value === 'string' ? value : null;
}
