"""Key pairs: imported ones, and for old clients made ones."""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import func, select

from haneul.compute import quotas
from haneul.compute.model import KeypairRow
from haneul.compute.problems import TooMany
from haneul.kernel import clock, quota
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound

_PRINCIPAL = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # a user principal name, its value UTF-8 text in DER


@quota.counted("compute", "key_pairs")
def _count(tx: Transaction, user_id: str) -> int:
    return int(tx.execute(select(func.count()).select_from(KeypairRow).where(KeypairRow.user_id == user_id)).scalar_one())


def get(tx: Transaction, user_id: str, name: str) -> KeypairRow:
    row = tx.execute(select(KeypairRow).where(KeypairRow.user_id == user_id, KeypairRow.name == name)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"Keypair {name[:255]} not found for user {user_id[:64]}")
    return row


def fingerprint(public_key: str) -> str:
    """MD5 of the key's bytes, as ssh-keygen -E md5 shows it. BadRequest unless it is an SSH public key."""
    words = public_key.split()
    try:
        serialization.load_ssh_public_key(" ".join(words[:2]).encode())
        raw = base64.b64decode(words[1], validate=True)
    except (ValueError, IndexError, binascii.Error, UnsupportedAlgorithm):
        raise BadRequest("Keypair data is invalid: failed to generate fingerprint")
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    return ":".join(digest[position:position + 2] for position in range(0, 32, 2))


def _certificate_fingerprint(public_key: str) -> str:
    try:
        found = x509.load_pem_x509_certificate(public_key.encode()).fingerprint(hashes.SHA1()).hex()
    except ValueError:
        raise BadRequest("Keypair data is invalid: failed to generate X509 fingerprint. Error message: not a certificate")
    return ":".join(found[position:position + 2] for position in range(0, len(found), 2))


def generate(user_id: str, kind: str) -> tuple[str, str]:
    """A private key, that is never seen again, and its public one or certificate. Takes long: never in a write transaction."""
    return _generate() if kind == "ssh" else _generate_certificate(user_id)


def create(tx: Transaction, context: Context, user_id: str, name: str, public_key: str, kind: str = "ssh") -> KeypairRow:
    tx.lock("quota", "compute", user_id)
    if 0 <= quotas.limit(tx, context.project_id or "", "key_pairs") <= _count(tx, user_id):
        raise TooMany("Quota exceeded, too many key pairs.")
    if tx.execute(select(KeypairRow.seq).where(KeypairRow.user_id == user_id, KeypairRow.name == name)).first():
        raise Conflict(f"Key pair '{name}' already exists.")
    if len(public_key) > 65535:
        raise BadRequest("Keypair data is invalid: the public key is too long")
    print_of = fingerprint(public_key) if kind == "ssh" else _certificate_fingerprint(public_key)
    row = KeypairRow(user_id=user_id, name=name, type=kind, fingerprint=print_of, public_key=public_key,
                     created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def _generate() -> tuple[str, str]:
    key, private = _key()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    return private, public + " Generated-by-haneul"


def _generate_certificate(user_id: str) -> tuple[str, str]:
    """For logging in to Windows by WinRM: a self-signed certificate that names the user as Windows looks for it."""
    key, private = _key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id)])
    principal = f"{user_id}@localhost".encode()
    now = clock.now()
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=3650)).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False).add_extension(
        x509.SubjectAlternativeName([x509.OtherName(_PRINCIPAL, bytes([0x0C, len(principal)]) + principal)]), critical=False,
    ).sign(key, hashes.SHA256())
    return private, certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key() -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                  serialization.NoEncryption()).decode()
