"""Who may come in: the keys that the manager knows, and its certificate. Both can change while it serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from qm.errors import BadRequest
from qm.wire.auth import admit, check_key, handshake_deadline
from qm.wire.frames import Connection
from qm.wire.roles import DEFAULT, Key, Role

if TYPE_CHECKING:
    from qm.wire.servertls import ServerTLS  # without TLS, OpenSSL stays out of the process


class Admission(NamedTuple):
    """What a peer is measured by. `tls` None: nothing is encrypted."""

    keys: tuple[Key, ...]
    tls: ServerTLS | None = None

    @classmethod
    def of(cls, keys: bytes | Sequence[Key], tls: ServerTLS | None = None) -> Admission:
        """`keys`: one alone is an operator's. Raises `BadRequest` for a short one, and for none."""
        known = (Key(DEFAULT, Role.OPERATOR, keys),) if isinstance(keys, bytes) else tuple(keys)
        if not known:
            raise BadRequest("without a key, nobody could come in")
        for key in known:
            check_key(key.secret)
        return cls(known, tls)

    def admit(self, connection: Connection) -> Key:
        """Which key the peer knows; over TLS from then on, where that is asked for.

        Raises `AuthFailed`, EOFError, `WireError`, OSError: close, and say nothing.
        """
        deadline = handshake_deadline()
        if self.tls is None:
            return admit(connection, self.keys, deadline=deadline)
        self.tls.welcome(connection, deadline)
        return admit(connection, self.keys, self.tls.certificate, deadline)
