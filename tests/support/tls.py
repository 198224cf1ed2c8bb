"""TLS without sockets: two pumps that exchange records, and certificates as they should not be."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from h2o_otel.tls.certificates import Certificate
from h2o_otel.tls.pump import TLSHandshakeError, TLSPump


def shake(client: TLSPump, server: TLSPump, now: float = 0.0) -> tuple[TLSHandshakeError | None, TLSHandshakeError | None]:
    """Hand records to and fro until both are done; what failed at the client, and at the server."""
    errors: list[TLSHandshakeError | None] = [None, None]
    ends = (client, server)
    for end in ends:
        end.start(now)
    for _ in range(10):
        for i, end in enumerate(ends):
            if errors[i] is None:
                try:
                    end.handshake(now)
                except TLSHandshakeError as error:
                    errors[i] = error
            records = b"".join(end.output())
            if records:
                ends[1 - i].feed(memoryview(records))
        if all(end.complete or errors[i] is not None for i, end in enumerate(ends)):
            break
    return errors[0], errors[1]


def carry(sender: TLSPump, receiver: TLSPump) -> None:
    records = b"".join(sender.output())
    if records:
        receiver.feed(memoryview(records))


def read_all(pump: TLSPump) -> tuple[bytes, int]:
    """Plaintext there is, and the last result of ``read_into``."""
    view = memoryview(bytearray(20_000))
    found = b""
    while True:
        n = pump.read_into(view, 0, len(view))
        if n <= 0:
            return found, n
        found += bytes(view[:n])


APPLICATION_DATA, HANDSHAKE = 23, 22
# A request for new keys and an answer in kind (RFC 8446 section 4.6.3).
KEY_UPDATE = b"\x18\0\0\x01\x01"


class RecordWriter:
    """Writes TLS 1.3 records that OpenSSL would not: of TLS_AES_256_GCM_SHA384, for an end that has not written any itself.

    Args:
        secret: its application traffic secret, from the key log (``SSLContext.keylog_filename``).
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._take_keys()

    def _take_keys(self) -> None:
        self._sequence = 0
        self._key = AESGCM(self._expand(b"key", 32))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")

    def _expand(self, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label (RFC 8446 section 7.1)."""
        label = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(algorithm=hashes.SHA384(), length=size, info=info).derive(self._secret)

    def record(self, content: bytes, type: int = APPLICATION_DATA) -> bytes:
        """One record, which may be empty."""
        head = b"\x17\x03\x03" + (len(content) + 1 + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return head + self._key.encrypt(nonce, content + bytes([type]), head)

    def key_update(self) -> bytes:
        """A KeyUpdate; what follows is under the next keys."""
        record = self.record(KEY_UPDATE, HANDSHAKE)
        self._secret = self._expand(b"traffic upd", 48)
        self._take_keys()
        return record


class Issuer:
    """Makes certificates with any fault wanted."""

    def __init__(self, folder: Path, name: str = "test authority", key: Any = None, parent: Issuer | None = None, ca: bool = True) -> None:
        self.folder = folder
        self.name = name
        self.parent = parent
        self.key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        self.certificate = make(name, parent or self, self.key, ca=ca)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def leaf(self, *names: str, key: Any = None, chain: bool = False, file: str = "leaf", **options: Any) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        made = make(options.pop("subject", "leaf"), self, key, names=names, **options)
        pem = made.public_bytes(serialization.Encoding.PEM)
        if chain:
            pem += self.certificate.public_bytes(serialization.Encoding.PEM)
        found = Certificate(self.folder / f"{file}.pem", self.folder / f"{file}.key")
        found.certificate.write_bytes(pem)
        found.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return found

    def revocations(self, *certificates: Certificate) -> Path:
        # From yesterday on: OpenSSL asks the coarse clock, which right after a second began is still in the one before.
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder(issuer_name=subject(self.name), last_update=now - DAY, next_update=now + DAY)
        for revoked in certificates:
            serial = x509.load_pem_x509_certificate(revoked.certificate.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=now - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        path = self.folder / "revoked.pem"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


DAY = datetime.timedelta(days=1)


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def rsa_key(bits: int) -> Any:
    return rsa.generate_private_key(65_537, bits)


def make(
    name: str,
    issuer: Issuer,
    key: Any,
    *,
    names: tuple[str, ...] = (),
    ca: bool = False,
    starts: datetime.timedelta = -DAY,
    ends: datetime.timedelta = DAY,
    client: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(subject(issuer.name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if not ca:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())
