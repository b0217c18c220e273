"""What the peers' workers run: the same bodies for all of them, and the same as those of qmanager."""

from __future__ import annotations

import bcrypt

from benchmarks.stamps import Stamper

_stamp = Stamper()


def noop(value: int) -> int:
    """Gives its input back."""
    _stamp()
    return value


def hashed(value: int) -> str:
    """The bcrypt hash of a short text at cost 4: about a millisecond of pure computing."""
    digest = bcrypt.hashpw(b"task %d" % value, bcrypt.gensalt(4)).decode("ascii")
    _stamp()
    return digest
