import type { JsonObject } from '../../../core/units.ts';
import {
  defined,
  flagOf,
  numberOf,
  optionalNumber,
  optionalObject,
  optionalObjects,
  optionalText,
  textOf,
  textsOf,
} from './fields.ts';
import type { FloatingIp, Network, NetworkSegment, Port, PortBinding, PortChange, Subnet } from './neutron.ts';

function readSegment(data: JsonObject): NetworkSegment {
  return {
    networkType: optionalText(data, 'provider:network_type'),
    physicalNetwork: optionalText(data, 'provider:physical_network'),
    segmentationId: optionalNumber(data, 'provider:segmentation_id'),
  };
}

/** A network as Neutron writes it. @throws `unavailable`. */
export function readNetwork(data: JsonObject): Network {
  return {
    id: textOf(data, 'id'),
    name: textOf(data, 'name'),
    projectId: projectOf(data),
    mtu: optionalNumber(data, 'mtu'),
    shared: flagOf(data, 'shared'),
    external: flagOf(data, 'router:external'),
    portSecurityEnabled: data.port_security_enabled !== false,
    subnets: textsOf(data, 'subnets'),
    ...readSegment(data),
    segments: optionalObjects(data, 'segments').map(readSegment),
  };
}

/** A port as Neutron writes it. @throws `unavailable`. */
export function readPort(data: JsonObject): Port {
  const request = optionalObject(data, 'resource_request');
  return {
    id: textOf(data, 'id'),
    name: optionalText(data, 'name') ?? '',
    networkId: textOf(data, 'network_id'),
    projectId: projectOf(data),
    macAddress: textOf(data, 'mac_address'),
    adminStateUp: flagOf(data, 'admin_state_up'),
    status: textOf(data, 'status'),
    deviceId: optionalText(data, 'device_id') ?? '',
    deviceOwner: optionalText(data, 'device_owner') ?? '',
    fixedIps: optionalObjects(data, 'fixed_ips').map((each) => ({
      subnetId: textOf(each, 'subnet_id'),
      ipAddress: textOf(each, 'ip_address'),
    })),
    securityGroups: textsOf(data, 'security_groups'),
    dnsName: optionalText(data, 'dns_name'),
    portSecurityEnabled: data.port_security_enabled !== false,
    vnicType: optionalText(data, 'binding:vnic_type') ?? 'normal',
    bindingHost: optionalText(data, 'binding:host_id') ?? '',
    vifType: optionalText(data, 'binding:vif_type'),
    vifDetails: optionalObject(data, 'binding:vif_details'),
    bindingProfile: optionalObject(data, 'binding:profile'),
    resourceRequest: Object.keys(request).length === 0 ? null : request,
  };
}

/** A change of a port as Neutron takes it. */
export function writePort(change: PortChange): JsonObject {
  return defined({
    name: change.name,
    admin_state_up: change.adminStateUp,
    device_id: change.deviceId,
    device_owner: change.deviceOwner,
    mac_address: change.macAddress,
    fixed_ips: change.fixedIps?.map((each) => defined({ subnet_id: each.subnetId, ip_address: each.ipAddress })),
    security_groups: change.securityGroups,
    dns_name: change.dnsName,
    'binding:vnic_type': change.vnicType,
    'binding:host_id': change.bindingHost,
    'binding:profile': change.bindingProfile,
  });
}

/** A binding as Neutron writes it. @throws `unavailable`. */
export function readBinding(data: JsonObject): PortBinding {
  return {
    host: textOf(data, 'host'),
    vifType: textOf(data, 'vif_type'),
    vnicType: optionalText(data, 'vnic_type') ?? 'normal',
    status: textOf(data, 'status'),
    profile: optionalObject(data, 'profile'),
    vifDetails: optionalObject(data, 'vif_details'),
  };
}

/** A subnet as Neutron writes it. @throws `unavailable`. */
export function readSubnet(data: JsonObject): Subnet {
  return {
    id: textOf(data, 'id'),
    name: optionalText(data, 'name') ?? '',
    networkId: textOf(data, 'network_id'),
    ipVersion: numberOf(data, 'ip_version') === 6 ? 6 : 4,
    cidr: textOf(data, 'cidr'),
    gatewayIp: optionalText(data, 'gateway_ip'),
    enableDhcp: flagOf(data, 'enable_dhcp'),
    dnsNameservers: textsOf(data, 'dns_nameservers'),
    hostRoutes: optionalObjects(data, 'host_routes').map((each) => ({
      destination: textOf(each, 'destination'),
      nexthop: textOf(each, 'nexthop'),
    })),
    ipv6RaMode: optionalText(data, 'ipv6_ra_mode'),
    ipv6AddressMode: optionalText(data, 'ipv6_address_mode'),
  };
}

/** A floating address as Neutron writes it. @throws `unavailable`. */
export function readFloatingIp(data: JsonObject): FloatingIp {
  return {
    id: textOf(data, 'id'),
    floatingIpAddress: textOf(data, 'floating_ip_address'),
    fixedIpAddress: optionalText(data, 'fixed_ip_address'),
    portId: optionalText(data, 'port_id'),
  };
}

function projectOf(data: JsonObject): string {
  return optionalText(data, 'project_id') ?? optionalText(data, 'tenant_id') ?? '';
}
