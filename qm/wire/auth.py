"""Both ends prove that they know the authkey; neither says it.

    server → client   "qm1" + 32 random bytes
    client → server   32 random bytes + HMAC("client", both)
    server → client   HMAC("server", both)

HMAC-SHA256. The side in the message keeps a peer from sending our own proof back to us; fresh random bytes of
both sides keep an old one from being replayed. Over TLS the SHA-256 of the server's certificate follows the
random bytes, as each side sees it: who relays the messages under another certificate, be it a good one, makes
the two differ. A refused peer learns nothing: the connection just closes. Whoever is sent away for another
reason is reset instead, so that it does not doubt its key.

A client without TLS says the length of its frame at once: a manager with TLS would else wait for it to begin,
as it waits for the manager. So each learns in one round trip that the other speaks something else.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from qm.errors import AuthFailed, BadRequest
from qm.limits import KEY_MIN
from qm.wire.forks import openssl
from qm.wire.frames import Connection, SpeaksTLS, WireError
from qm.wire.roles import Key

_MAGIC: Final = b"qm1"
_NONCE: Final = 32
_PROOF: Final = 32

#: Seconds for the whole handshake, not for each step.
HANDSHAKE_DEADLINE: Final = 5.0


def check_key(key: bytes) -> None:
    """Raises `BadRequest` for a key too short to keep anybody out."""
    if len(key) < KEY_MIN:
        raise BadRequest(f"an authkey has at least {KEY_MIN} bytes, this one has {len(key)}")


def handshake_deadline(seconds: float | None = None) -> float:
    """When a handshake that begins now must be over, by the monotonic clock."""
    return time.monotonic() + (HANDSHAKE_DEADLINE if seconds is None else seconds)


def admit(
    connection: Connection, keys: Sequence[Key], certificate: bytes = b"", deadline: float | None = None
) -> Key:
    """The server's side: the one of `keys` that the peer knows. `certificate`: the hash of ours, over TLS.

    Raises `AuthFailed`, EOFError, `WireError`, OSError: close, and say nothing.
    """
    deadline = deadline or handshake_deadline()
    ours = os.urandom(_NONCE)
    connection.send_frame(_MAGIC + ours)
    answer = bytes(connection.recv_frame(_left(deadline), limit=_NONCE + _PROOF))
    theirs, proof = answer[:_NONCE], answer[_NONCE:]
    known = None
    for key in keys:  # all of them, also once it is found: the time must not tell which it was
        if hmac.compare_digest(proof, _prove(key.secret, b"client", ours, theirs, certificate)):
            known = key
    if known is None:
        raise AuthFailed("a peer with another key")
    connection.send_frame(_prove(known.secret, b"server", ours, theirs, certificate))
    return known


def introduce(
    connection: Connection,
    key: bytes,
    name: str,
    certificate: bytes = b"",
    deadline: float | None = None,
) -> None:
    """The client's side; `name` is the manager in errors, `certificate` the hash of its, over TLS.

    Raises `AuthFailed`, TimeoutError, OSError; and EOFError where the connection ends after our proof: then
    our key is another, or the manager was killed just now.
    """
    deadline = deadline or handshake_deadline()
    send: Callable[[bytes], None] = connection.send_frame
    try:
        if not certificate:
            connection.announce(_NONCE + _PROOF)
            send = connection.send_announced
        server, ours = _challenge(connection, _left(deadline)), os.urandom(_NONCE)
        send(ours + _prove(key, b"client", server, ours, certificate))
        proof = bytes(connection.recv_frame(_left(deadline), limit=_PROOF))
    except SpeaksTLS:
        raise AuthFailed(
            f"the manager at {name} speaks TLS",
            hint="say how to know it: --tls-fingerprint sha256:..., or --tls-ca FILE;"
            " on its own host QM_TLS=on",
        ) from None
    except WireError as error:
        raise AuthFailed(f"what answers at {name} is not a qmanager ({error})") from None
    if not hmac.compare_digest(proof, _prove(key, b"server", server, ours, certificate)):
        raise AuthFailed(f"what answers at {name} does not know our authkey")


def _challenge(connection: Connection, timeout: float) -> bytes:
    """The server's random bytes."""
    size = len(_MAGIC) + _NONCE
    try:
        hello = bytes(connection.recv_frame(timeout, limit=size))
    except EOFError:  # before it saw our key: it is stopping, or overrun
        raise ConnectionError("closed before the handshake") from None
    if len(hello) != size or not hello.startswith(_MAGIC):
        raise WireError("another protocol")
    return hello[len(_MAGIC) :]


def _prove(key: bytes, side: bytes, server: bytes, client: bytes, certificate: bytes) -> bytes:
    with openssl:
        return hmac.digest(key, b"qm1 " + side + b"\0" + server + client + certificate, "sha256")


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


# OpenSSL sets itself up at its first digest, under a lock that a fork in that moment would leave locked.
_prove(b"", b"", b"", b"", b"")
