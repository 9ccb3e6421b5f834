import { chassisResources } from './chassis-tree.ts';
import type { Node } from './json.ts';
import { pathsOf, type Snapshot, type TreeBuilder } from './model.ts';
import { serviceResources } from './service-tree.ts';
import { systemResources } from './system-tree.ts';

/** Path -> resource, for every resource of the service as it is at one moment. */
export function resourceTree(snapshot: Snapshot): ReadonlyMap<string, Node> {
  const tree = new Map<string, Node>();
  const build: TreeBuilder = {
    add(path, type, body) {
      const id = path.slice(path.lastIndexOf('/') + 1);
      tree.set(path, { '@odata.id': path, '@odata.type': `#${type}`, Id: id, Name: id, ...body });
      return { '@odata.id': path };
    },
    collect(path, kind, members) {
      return build.add(path, `${kind}Collection.${kind}Collection`, {
        Name: `${kind} Collection`,
        'Members@odata.count': members.length,
        Members: members,
      });
    },
  };
  const paths = pathsOf(snapshot.persona);
  systemResources(build, paths, snapshot);
  chassisResources(build, paths, snapshot);
  serviceResources(build, paths, snapshot);
  return tree;
}
