/** What a metadata service answers for an instance: EC2's paths and OpenStack's (docs.openstack.org, nova, "Metadata service"). */

/** What is known of an instance: OpenStack's `meta_data.json`, and its user data. */
export interface InstanceMetadata {
  readonly metaData: Readonly<Record<string, unknown>>;
  readonly userData: Buffer | null;
  /** OpenStack's `network_data.json`. */
  readonly networkData?: Readonly<Record<string, unknown>>;
  /** OpenStack's `vendor_data.json`. */
  readonly vendorData?: Readonly<Record<string, unknown>>;
  readonly ip: string;
  readonly mac: string | null;
}

/** An HTTP answer. */
export interface MetadataAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer | string;
}

/** A folder of a path, or the text at its end. */
type Tree = { readonly [name: string]: Tree | string | Buffer };

const EC2_VERSIONS = ['2007-01-19', '2009-04-04', '2016-09-02', 'latest'];
const OPENSTACK_VERSIONS = ['2012-08-10', '2015-10-15', '2018-08-27', 'latest'];

/** Answers a path for an instance; null for one that nothing is known of. */
export function answerMetadata(path: string, instance: InstanceMetadata | null): MetadataAnswer {
  const names = path.split('/').filter((name) => name !== '');
  let found: Tree | string | Buffer | undefined = instance === null ? undefined : treeOf(instance);
  for (const name of names) {
    if (typeof found !== 'object' || Buffer.isBuffer(found)) return notFound;
    found = Object.hasOwn(found, name) ? found[name] : undefined;
  }
  if (found === undefined) return notFound;
  if (typeof found === 'string' || Buffer.isBuffer(found)) {
    const type = names.at(-1)?.endsWith('.json') ? 'application/json' : 'text/plain; charset=utf-8';
    return { status: 200, type, body: found };
  }
  return { status: 200, type: 'text/plain; charset=utf-8', body: listing(found, names.at(-1) === 'public-keys') };
}

const notFound: MetadataAnswer = { status: 404, type: 'text/plain; charset=utf-8', body: 'Not Found\n' };

function treeOf(instance: InstanceMetadata): Tree {
  const ec2: Tree = {
    'meta-data': ec2MetaData(instance),
    ...(instance.userData === null ? {} : { 'user-data': instance.userData }),
  };
  const openstack: Tree = {
    'meta_data.json': JSON.stringify(instance.metaData),
    ...(instance.userData === null ? {} : { user_data: instance.userData }),
    ...(instance.networkData ? { 'network_data.json': JSON.stringify(instance.networkData) } : {}),
    'vendor_data.json': JSON.stringify(instance.vendorData ?? {}),
  };
  return {
    openstack: Object.fromEntries(OPENSTACK_VERSIONS.map((version) => [version, openstack])),
    ...Object.fromEntries(EC2_VERSIONS.map((version) => [version, ec2])),
  };
}

function ec2MetaData({ metaData, ip, mac }: InstanceMetadata): Tree {
  const hostname = textOf(metaData.hostname) ?? textOf(metaData.name) ?? `ip-${ip.replaceAll('.', '-')}`;
  const keys = Object.entries(metaData.public_keys ?? {}).flatMap(([name, key]) =>
    typeof key === 'string' ? [[name, key] as const] : [],
  );
  return {
    'instance-id': textOf(metaData.uuid) ?? `i-${(mac ?? ip).replaceAll(/[:.]/g, '')}`,
    hostname,
    'local-hostname': hostname,
    'local-ipv4': ip,
    ...(mac === null ? {} : { mac }),
    ...(keys.length === 0
      ? {}
      : {
          'public-keys': Object.fromEntries(
            keys.map(([name, key], index) => [String(index), { 'openssh-key': key, [NAME]: name }]),
          ),
        }),
  };
}

/** Where the tree of a key keeps its name: no path leads to the empty string. */
const NAME = '';

function listing(tree: Tree, keys: boolean): string {
  return Object.entries(tree)
    .filter(([name]) => name !== NAME)
    .map(([name, value]) => {
      if (typeof value === 'string' || Buffer.isBuffer(value)) return name;
      return keys ? `${name}=${String(value[NAME])}` : `${name}/`;
    })
    .join('\n');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
