"""A Cinder volume driver whose volumes are sparse files.

Cinder's own fake driver moves no data, and what has data (LVM, iSCSI) needs devices and kernel modules. Here images are
really copied in, snapshots, clones and uploads really have the bytes, and connections are described as those of an
iSCSI target that nobody runs. It lives outside of Cinder, as drivers of vendors do: `volume_driver` names it.
"""
import os
import subprocess

from cinder.image import image_utils
from cinder.tests.fake_driver import FakeLoggingVolumeDriver
from cinder.volume import volume_utils
from oslo_config import cfg

GIB = 1024 ** 3


class FileVolumeDriver(FakeLoggingVolumeDriver):
    """Volumes and snapshots are files of `volumes` in Cinder's state_path, named as Cinder names them."""

    def _update_volume_stats(self):
        super()._update_volume_stats()
        for pool in self._stats['pools']:
            pool['multiattach'] = True

    def local_path(self, volume, vg=None):
        folder = os.path.join(cfg.CONF.state_path, 'volumes')
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, volume['name'])

    def _resize(self, volume, gib):
        with open(self.local_path(volume), 'ab') as file:
            file.truncate(gib * GIB)

    def _copy(self, source, volume, gib):
        subprocess.run(['cp', '--sparse=always', '--reflink=auto', self.local_path(source), self.local_path(volume)],
                       check=True, capture_output=True)
        self._resize(volume, gib)

    def _remove(self, volume):
        try:
            os.unlink(self.local_path(volume))
        except FileNotFoundError:
            pass

    def create_volume(self, volume):
        self._resize(volume, volume['size'])

    def delete_volume(self, volume):
        self._remove(volume)

    def extend_volume(self, volume, new_size):
        self._resize(volume, new_size)

    def create_snapshot(self, snapshot):
        self._copy(snapshot['volume'], snapshot, snapshot['volume_size'])

    def delete_snapshot(self, snapshot):
        self._remove(snapshot)

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(snapshot, volume, volume['size'])

    def create_cloned_volume(self, volume, src_vref):
        self._copy(src_vref, volume, volume['size'])

    def revert_to_snapshot(self, context, volume, snapshot):
        self._copy(snapshot, volume, volume['size'])

    def copy_image_to_volume(self, context, volume, image_service, image_id):
        image_utils.fetch_to_raw(context, image_service, image_id, self.local_path(volume),
                                 self.configuration.volume_dd_blocksize, size=volume['size'])
        self._resize(volume, volume['size'])

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        volume_utils.upload_volume(context, image_service, image_meta, self.local_path(volume), volume)

    def initialize_connection(self, volume, connector):
        info = super().initialize_connection(volume, connector)
        info['data'].update({
            'target_discovered': False,
            'target_portal': '127.0.0.1:3260',
            'target_iqn': 'iqn.2010-10.org.openstack:%s' % volume['name'],
            'target_lun': 1,
            'volume_id': volume['id'],
        })
        return info
