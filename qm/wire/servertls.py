"""The manager's side of TLS: its certificate and private key, and the first words of each connection."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from qm.errors import BadRequest
from qm.wire.frames import Connection, WireError
from qm.wire.keys import read_secret
from qm.wire.tls import NotTLS, TLSSocket, first_bytes

#: Seconds until a client must begin. Then we do: one without TLS may wait for our word (ours do not, see
#: `qm.wire.auth`), and an alert says why it gets none. After its `HANDSHAKE_DEADLINE` it would be gone.
_SILENCE: Final = 3.0

#: handshake_failure, fatal; as every TLS understands it, and every other protocol can recognise it.
_ALERT: Final = bytes.fromhex("15030300020228")

_HINT: Final = "make them with: qmanager tls init"


class ServerTLS(NamedTuple):
    """What a manager that speaks TLS has to know. `certificate`: the SHA-256 of its certificate."""

    context: ssl.SSLContext
    certificate: bytes

    @property
    def fingerprint(self) -> str:
        """The certificate, as clients pin it."""
        return fingerprint(self.certificate)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> ServerTLS:
        """From two PEM files; after the certificate those of intermediate CAs may follow.

        Raises `BadRequest` where they cannot be used, or others may read the key.
        """
        digest = digest_of(certificate)
        read_secret(key, "TLS key", _HINT)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # nobody resumes: connections stay
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except (ssl.SSLError, OSError) as error:
            why = getattr(error, "reason", None) or error.strerror or str(error)
            raise BadRequest(
                f"cannot use the TLS certificate {certificate} with the key {key}:"
                f" {why.replace('_', ' ').lower()}",
                hint=_HINT,
            ) from None
        return cls(context, digest)

    def welcome(self, connection: Connection, deadline: float) -> None:
        """The handshake; from then on `connection` is encrypted.

        Raises `WireError` where the peer speaks no TLS, or not 1.3; TimeoutError, EOFError, OSError.
        """
        raw = connection.sock
        received = first_bytes(raw, _SILENCE)
        if not received:
            raw.sendall(_ALERT)
            raise WireError(f"it said nothing for {_SILENCE:g} s; without TLS, perhaps")
        secured = TLSSocket(raw, self.context)
        try:
            secured.shake(deadline, received)
        except NotTLS:
            with suppress(OSError):  # gone already
                raw.sendall(_ALERT)
            raise
        connection.continue_over(secured)


def digest_of(certificate: Path) -> bytes:
    """The SHA-256 of the first certificate in a PEM file. Raises `BadRequest`."""
    try:
        text = certificate.read_text("ascii")
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        der = ssl.PEM_cert_to_DER_cert(text[begin:end])
    except OSError as error:
        raise BadRequest(f"cannot read the certificate {certificate}: {error.strerror}", hint=_HINT) from None
    except ValueError:  # no such lines, no Base64, no ASCII
        raise BadRequest(f"there is no certificate (PEM) in {certificate}", hint=_HINT) from None
    return hashlib.sha256(der).digest()


def fingerprint(digest: bytes) -> str:
    """The SHA-256 of a certificate as people copy it."""
    return f"sha256:{digest.hex()}"


def _refuse_password() -> str:
    """Instead of OpenSSL's question on the terminal."""
    raise OSError("it is encrypted")
