"""The small bootable guest image, built from Debian packages without mounting or installing anything."""
