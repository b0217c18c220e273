"""Certificates of every kind, good and bad, made on the spot."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qm.wire.servertls import ServerTLS

HOSTS = ("localhost", "127.0.0.1")
LONG_AGO = datetime.datetime(2001, 1, 1)
FAR = datetime.datetime(2999, 1, 1)


class Authority(NamedTuple):
    """A CA."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


class Files(NamedTuple):
    """A server's certificate and its key."""

    certificate: Path
    key: Path

    def load(self) -> ServerTLS:
        return ServerTLS.load(*self)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def authority(name: str = "our CA") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(FAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    folder: Path,
    ca: Authority,
    hosts: Sequence[str] = HOSTS,
    begins: datetime.datetime = LONG_AGO,
    ends: datetime.datetime = FAR,
) -> Files:
    """A server's certificate that `ca` has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        for host in hosts
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_named("a manager"))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    files = Files(folder / "tls.crt", folder / "tls.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.touch(0o600)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
