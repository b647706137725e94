"""Volumes as RBD images of a Ceph pool."""

from haneul.host.volumes.ceph.driver import Ceph as Driver

__all__ = ["Driver"]
