"""The header of a fresh LUKS 1 volume (AES-256 in XTS mode, SHA-256), as the on-disk format describes it and QEMU opens it.

qemu-img makes one too, but first measures for seconds how fast this machine hashes, and fails where it is too busy to measure.
Iterations are against a search of weak passphrases: a volume's is 256 bits of chance, and the least number will do.
"""

from __future__ import annotations

import os
import struct
import uuid
from hashlib import pbkdf2_hmac, sha256

MAGIC = b"LUKS\xba\xbe"
SECTOR = 512
KEY, STRIPES, SLOTS, ITERATIONS = 64, 4000, 8, 1000
ACTIVE, UNUSED = 0x00AC71F3, 0x0000DEAD
FIRST_SLOT, SLOT_SECTORS = 8, 504  # of key material, in sectors of a multiple of 4 KiB
PAYLOAD = (FIRST_SLOT + SLOTS * SLOT_SECTORS) * SECTOR  # where the data begins


def header(passphrase: str) -> bytes:
    """What lies before the data: PAYLOAD bytes less the unused rest, which is zeros."""
    master = os.urandom(KEY)
    master_salt, slot_salt = os.urandom(32), os.urandom(32)
    slots = [struct.pack(">II32sII", ACTIVE if number == 0 else UNUSED, ITERATIONS if number == 0 else 0,
                         slot_salt if number == 0 else b"", FIRST_SLOT + number * SLOT_SECTORS, STRIPES)
             for number in range(SLOTS)]
    head = struct.pack(">6sH32s32s32sII20s32sI40s", MAGIC, 1, b"aes", b"xts-plain64", b"sha256", PAYLOAD // SECTOR, KEY,
                       pbkdf2_hmac("sha256", master, master_salt, ITERATIONS, 20), master_salt, ITERATIONS,
                       str(uuid.uuid4()).encode()) + b"".join(slots)
    slot_key = pbkdf2_hmac("sha256", passphrase.encode(), slot_salt, ITERATIONS, KEY)
    return head.ljust(FIRST_SLOT * SECTOR, b"\0") + _encrypted(slot_key, _split(master))


def data_offset(head: bytes) -> int:
    """Of the first bytes of a volume: where its data begins; 0 for what is no LUKS 1 volume."""
    if len(head) < 108 or head[:8] != MAGIC + b"\0\1":
        return 0
    return int(struct.unpack_from(">I", head, 104)[0]) * SECTOR


def _split(key: bytes) -> bytes:
    """Anti-forensic: without any one of the stripes the key is lost."""
    stripes = [os.urandom(KEY) for _ in range(STRIPES - 1)]
    mixed = bytes(KEY)
    for stripe in stripes:
        mixed = _diffused(_xor(mixed, stripe))
    return b"".join(stripes) + _xor(mixed, key)


def _diffused(block: bytes) -> bytes:
    halves = [struct.pack(">I", number) + block[number * 32:number * 32 + 32] for number in range(KEY // 32)]
    return b"".join(sha256(half).digest() for half in halves)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _encrypted(key: bytes, content: bytes) -> bytes:
    """Sector by sector, numbered from 0."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # many agents never need it

    parts = []
    for number in range(len(content) // SECTOR):
        cipher = Cipher(algorithms.AES(key), modes.XTS(struct.pack("<QQ", number, 0))).encryptor()
        parts.append(cipher.update(content[number * SECTOR:(number + 1) * SECTOR]))
    return b"".join(parts)
