"""Volumes as files in a folder: raw, LUKS or qcow2."""

from __future__ import annotations

from haneul.host.volumes.file.driver import Driver

__all__ = ["Driver"]
