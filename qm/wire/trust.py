"""The client's side of TLS: how it knows the manager, and words for each way in which it does not.

    sha256:HEX   the certificate with this fingerprint, whatever name, CA and dates it has; or one of several,
                 as sha256:HEX,sha256:HEX: of several managers, or of one before and after its renewal
    pin:FILE     the certificate in this file, in the same way
    ca:FILE      any certificate for the manager's host that a CA in this file has signed, or that is in it

A fingerprint says more than a CA can: it names the certificate itself. So nothing else is asked then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from pathlib import Path
from typing import Final

from qm.errors import AuthFailed, BadRequest
from qm.wire.address import Address
from qm.wire.forks import openssl
from qm.wire.frames import Connection
from qm.wire.servertls import digest_of, fingerprint
from qm.wire.tls import NotTLS, TLSError, TLSSocket

_PIN_HINT: Final = "sha256: and 64 hexadecimal digits, as qmanager tls init prints it"

#: OpenSSL's numbers of what can be wrong with a certificate (x509_vfy.h).
_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_IP = 10, 9, 62, 64
_UNKNOWN_CA: Final = (2, 18, 19, 20, 21)

#: The alerts of a manager that speaks only older versions, and what our own OpenSSL says of one.
_TOO_OLD: Final = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_SSL_VERSION")


class Trust:
    """How a client knows the manager."""

    def __init__(self, text: str) -> None:
        """`text` as above. Raises `BadRequest` for what is none of these, and for a file that is no use."""
        kind, _, value = text.partition(":")
        self._digests: tuple[bytes, ...] = ()
        self._pin: Path | None = None
        self._ca: Path | None = None
        if kind == "sha256":
            self._digests = tuple(_parse_digest(part) for part in text.split(","))
        elif kind == "pin":
            self._pin = Path(value)
        elif kind == "ca":
            self._ca = Path(value)
        else:
            raise BadRequest(f"{text[:80]!r} says no certificate", hint="sha256:HEX, pin:FILE or ca:FILE")
        self._context()
        self._pinned()

    def secure(self, connection: Connection, address: Address, deadline: float) -> bytes:
        """The handshake; from then on `connection` is encrypted. Gives the hash of the manager's certificate.

        Raises `AuthFailed` where the manager is not the one we know; TimeoutError, EOFError, OSError.
        """
        secured = TLSSocket(connection.sock, self._context(), address.host)
        try:
            secured.shake(deadline)
        except TLSError as error:
            raise explain(error, address) from None
        with openssl:
            digest = hashlib.sha256(secured.certificate()).digest()
        pinned = self._pinned()
        if pinned and not any(hmac.compare_digest(digest, one) for one in pinned):
            raise AuthFailed(
                f"the certificate of the manager at {address} is another one: {fingerprint(digest)}",
                hint="if it was renewed, take the new fingerprint, from that machine itself",
            )
        connection.continue_over(secured)
        return digest

    def _pinned(self) -> tuple[bytes, ...]:
        """The certificates one of which it must be; of a file as it is now, for it may be renewed."""
        return self._digests if self._pin is None else (digest_of(self._pin),)

    def _context(self) -> ssl.SSLContext:
        with openssl:
            return self._make_context()

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self._ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # we look ourselves, and accept one only
            return context
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may have the certificate itself
        try:
            context.load_verify_locations(self._ca)
        except ssl.SSLError:
            raise BadRequest(f"there is no certificate (PEM) in {self._ca}") from None
        except OSError as error:
            raise BadRequest(f"cannot read the CA file {self._ca}: {error.strerror}") from None
        return context


def explain(error: TLSError, address: Address) -> AuthFailed:
    """What went wrong in the handshake, for people."""
    name = f"the manager at {address}"
    cause = error.cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _explain_certificate(cause, name, address)
    if isinstance(error, NotTLS):
        return AuthFailed(
            f"{name} does not speak TLS",
            hint="start it with --tls, or leave --tls-fingerprint and --tls-ca (QM_TLS...) away",
        )
    if cause is not None and cause.reason in _TOO_OLD:
        return AuthFailed(f"{name} speaks an older TLS than 1.3", hint="is it a qmanager?")
    return AuthFailed(f"TLS with {name} did not come about: {error}")


def _explain_certificate(cause: ssl.SSLCertVerificationError, name: str, address: Address) -> AuthFailed:
    code = cause.verify_code
    if code == _EXPIRED:
        return AuthFailed(f"the certificate of {name} has expired", hint="make another one")
    if code == _NOT_YET:
        return AuthFailed(f"the certificate of {name} is not valid yet", hint="is our clock right?")
    if code in (_WRONG_HOST, _WRONG_IP):
        return AuthFailed(
            f"the certificate of {name} is not for the host {address.host}",
            hint=f"qmanager tls init --hosts {address.host}, or connect by a name that it has",
        )
    if code in _UNKNOWN_CA:
        return AuthFailed(
            f"the certificate of {name} is signed by another CA",
            hint="name the right CA file by --tls-ca, or pin the certificate by --tls-fingerprint",
        )
    return AuthFailed(f"the certificate of {name} is not good: {cause.verify_message}")


def _parse_digest(text: str) -> bytes:
    kind, _, value = text.strip().partition(":")
    digits = value.replace(":", "").strip()
    if kind != "sha256" or not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        raise BadRequest(f"{text.strip()[:87]!r} is no fingerprint", hint=_PIN_HINT)
    return bytes.fromhex(digits)
