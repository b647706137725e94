"""haneul: a cloud operating system that speaks OpenStack's APIs."""

__version__ = "0.3.0"
