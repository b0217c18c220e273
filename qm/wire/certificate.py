"""A certificate for a manager that has none: self-signed, for its host names, no CA.

It can sign nothing else: who pins it, or takes it as a CA file, trusts this one manager.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qm.errors import BadRequest

#: Ten years: who pins it would notice an end as an outage.
_DAYS: Final = 3653

#: A clock of another host may be behind.
_EARLIER: Final = timedelta(days=1)

#: What X.509 allows a common name to have.
_NAME_MAX: Final = 64


class Pair(NamedTuple):
    """PEM texts."""

    certificate: bytes
    key: bytes


def make_certificate(hosts: Sequence[str], now: float) -> Pair:
    """A new one for `hosts`, this machine's name and its loopback addresses, valid from `now` on.

    Raises `BadRequest` for a host that is none.
    """
    names = dict.fromkeys([*hosts, socket.gethostname(), "localhost", "127.0.0.1", "::1"])
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, next(iter(names))[:_NAME_MAX])])
    begins = datetime.fromtimestamp(now, UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _EARLIER)
        .not_valid_after(begins + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        built.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def end_of(certificate: bytes) -> float:
    """When the first certificate of a PEM text ends, as the wall clock says. Raises ValueError."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def _general_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):  # then it is a name
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except ValueError:
        raise BadRequest(f"{host[:80]!r} is no host name") from None
