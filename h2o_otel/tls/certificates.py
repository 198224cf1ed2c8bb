"""Throw-away certificates for the demo and for tests: an authority and what it signs.

Made with the package ``cryptography`` where it is installed, otherwise with the ``openssl``
command.  Not for production: keys are written unencrypted, readable by their owner only.
"""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Authority", "Certificate", "CertificateToolMissing"]

_DAY_S = 86_400.0
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class CertificateToolMissing(RuntimeError):
    """Neither ``cryptography`` nor the ``openssl`` command is there."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of one certificate, in PEM.

    Attributes:
        certificate: the chain, leaf first.
        key: its private key.
    """

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of its own, in a folder; made there on first use.

    Args:
        folder: where its files are kept.
        name: common name of the authority.

    Attributes:
        certificate: PEM file of the authority, for those who are to trust it.

    Raises:
        CertificateToolMissing: nothing on this machine can make certificates.
    """

    def __init__(self, folder: Path | str, name: str = "h2o-otel demo authority") -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.certificate = self.folder / "authority.pem"
        self._key = self.folder / "authority.key"
        self._maker = _maker()
        if not self.certificate.exists() or not self._key.exists():
            self._maker.authority(self.name, self.certificate, self._key)

    def issue(
        self,
        *names: str,
        valid_s: float = 30 * _DAY_S,
        starts_s: float = -3600.0,
        client: bool = False,
        common_name: str | None = None,
        file: str | None = None,
    ) -> Certificate:
        """A certificate signed by this authority, with a fresh P-256 key.

        Args:
            names: DNS names and addresses that it is for; those of this machine by default.
            valid_s: seconds from now until it expires; negative for one that has expired.
            starts_s: seconds from now at which it becomes valid.
            client: it is to be shown by a client.
            common_name: its subject; the first name by default.
            file: stem of the files; the first name by default.
        """
        if not names and common_name is None:
            names = _LOCAL_NAMES
        subject = common_name if common_name is not None else names[0]
        stem = file if file is not None else "".join(c if c.isalnum() or c in ".-" else "_" for c in subject)
        made = Certificate(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        self._maker.leaf(_Leaf(subject, names, starts_s, valid_s, client), self.certificate, self._key, made)
        return made


@dataclass(frozen=True, slots=True)
class _Leaf:
    subject: str
    names: Sequence[str]
    starts_s: float
    ends_s: float
    client: bool


def _maker() -> Any:
    if importlib.util.find_spec("cryptography") is not None:
        return _WithCryptography()
    if shutil.which("openssl") is not None:
        return _WithOpenssl()
    raise CertificateToolMissing("no way to make certificates: install the package cryptography, or the openssl command")


def _write_key(path: Path, pem: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(pem)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _WithCryptography:
    """Certificates by the package ``cryptography``."""

    def authority(self, name: str, certificate: Path, key: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        private = self._new_key(key)
        builder = self._builder(name, name, private.public_key(), -3600.0, 365 * _DAY_S, authority=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
        signed = builder.add_extension(identifier, critical=False).sign(private, hashes.SHA256())
        self._write(certificate, signed)

    def leaf(self, leaf: _Leaf, authority: Path, authority_key: Path, made: Certificate) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        issuer: Any = x509.load_pem_x509_certificate(authority.read_bytes())
        issuer_key: Any = serialization.load_pem_private_key(authority_key.read_bytes(), None)
        private = self._new_key(made.key)
        issuer_name = str(issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        builder = self._builder(leaf.subject, issuer_name, private.public_key(), leaf.starts_s, leaf.ends_s, authority=False)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if leaf.client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        if leaf.names:
            named = [x509.IPAddress(ipaddress.ip_address(n)) if _is_address(n) else x509.DNSName(n) for n in leaf.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(named), critical=False)
        self._write(made.certificate, builder.sign(issuer_key, hashes.SHA256()))

    def _new_key(self, path: Path) -> Any:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write_key(path, pem)
        return private

    def _builder(self, name: str, issuer: str, public: Any, starts_s: float, ends_s: float, *, authority: bool) -> Any:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        now = datetime.datetime.now(datetime.UTC)
        starts = now + datetime.timedelta(seconds=min(starts_s, ends_s - _DAY_S) if ends_s < 0 else starts_s)
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        usage |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(starts)
            .not_valid_after(now + datetime.timedelta(seconds=ends_s))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
        )

    def _write(self, path: Path, certificate: Any) -> None:
        from cryptography.hazmat.primitives import serialization

        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class _WithOpenssl:
    """Certificates by the ``openssl`` command; it counts validity in days and from now on."""

    def authority(self, name: str, certificate: Path, key: Path) -> None:
        self._new_key(key)
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self._run("req", "-x509", "-new", "-key", str(key), "-subj", f"/CN={name}", "-days", "365", *extensions, "-out", str(certificate))

    def leaf(self, leaf: _Leaf, authority: Path, authority_key: Path, made: Certificate) -> None:
        self._new_key(made.key)
        request = made.certificate.with_suffix(".csr")
        extensions = made.certificate.with_suffix(".ext")
        lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        lines += [f"extendedKeyUsage={'clientAuth' if leaf.client else 'serverAuth'}"]
        if leaf.names:
            lines += ["subjectAltName=" + ",".join(("IP:" if _is_address(n) else "DNS:") + n for n in leaf.names)]
        extensions.write_text("\n".join(lines) + "\n")
        try:
            self._run("req", "-new", "-key", str(made.key), "-subj", f"/CN={leaf.subject}", "-out", str(request))
            sign = ["-CA", str(authority), "-CAkey", str(authority_key), "-CAcreateserial", "-extfile", str(extensions)]
            self._sign(["x509", "-req", "-in", str(request), *sign, "-out", str(made.certificate)], leaf.ends_s)
        finally:
            request.unlink(missing_ok=True)
            extensions.unlink(missing_ok=True)

    def _sign(self, command: list[str], ends_s: float) -> None:
        if ends_s > 0:
            self._run(*command, "-days", str(max(1, round(ends_s / _DAY_S))))
            return
        # One that has ended: OpenSSL 3.5 wants it to have begun before, and releases before 3.4 cannot say when it began.
        now = datetime.datetime.now(datetime.UTC)
        begun, ended = (f"{now + datetime.timedelta(seconds=s):%Y%m%d%H%M%SZ}" for s in (ends_s - _DAY_S, ends_s))
        try:
            self._run(*command, "-not_before", begun, "-not_after", ended)
        except RuntimeError:
            self._run(*command, "-days", "-1")

    def _new_key(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
        path.chmod(0o600)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
