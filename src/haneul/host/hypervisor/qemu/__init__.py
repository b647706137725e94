"""Servers as QEMU processes, steered over QMP. No libvirt, no daemon between agent and guest."""

from haneul.host.hypervisor.qemu.driver import QemuHypervisor

__all__ = ["QemuHypervisor"]
