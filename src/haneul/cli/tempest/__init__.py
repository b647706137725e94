"""Tempest, the test suite of OpenStack itself, against a cloud: its configuration, its runs."""
