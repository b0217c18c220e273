"""Which manager a program talks to, and with which key."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from qm import environment
from qm.cli.arguments import Arguments
from qm.client.patience import Patience
from qm.errors import BadRequest, QueueError
from qm.wire.address import Address, connect, parse_addresses
from qm.wire.failures import none_answers
from qm.wire.keys import is_missing, read_key
from qm.wire.remote import unreachable

#: Seconds for the look whether anybody is there.
_LOOK: Final = 3.0

#: Seconds that a first manager, started together with us, has to make its key.
_PATIENCE: Final = 5.0


class Manager(NamedTuple):
    """A manager's key, and how to know it, as `qm.wire.trust` reads it; "" is without TLS. `addresses`: its
    own, or those of several that serve one queue."""

    addresses: tuple[Address, ...]
    authkey: bytes
    tls: str


def find_manager(arguments: Arguments) -> Manager:
    """The manager of --rpc, --authkey-file and the TLS flags, else of the environment.

    Waits for some seconds where there is neither a key nor a manager. Raises `BadRequest`, and `Unreachable`
    where that stays so.
    """
    addresses = parse_addresses(arguments.text("--rpc") or environment.rpc(), environment.RPC_PORT)
    tls = _find_tls(arguments)
    given = arguments.path("--authkey-file")
    key = read_key(given) if given is not None else _find_key(environment.authkey_file(), addresses)
    return Manager(addresses, key, tls)


#: The flags by which a program is told how to know the manager.
TLS_FLAGS: Final = ("--tls-fingerprint", "--tls-ca")


def _find_tls(arguments: Arguments) -> str:
    """Raises `BadRequest` for both at once."""
    fingerprint, ca = (arguments.text(flag) for flag in TLS_FLAGS)
    if fingerprint and ca:
        raise BadRequest("--tls-fingerprint and --tls-ca: only one can say how to know the manager")
    if ca:
        return f"ca:{ca}"
    return fingerprint or environment.tls()


def _find_key(path: Path, addresses: tuple[Address, ...]) -> bytes:
    def once() -> bytes:
        if is_missing(path):
            _look_for(addresses)
        return read_key(path)

    return Patience(_PATIENCE).call(once)


def _look_for(addresses: tuple[Address, ...]) -> None:
    """Without a key, mostly no manager was ever started here: that, and not the key, is what to say then."""
    failures: dict[Address, QueueError] = {}
    for address in addresses:
        try:
            connect(address, _LOOK).close()
        except OSError as error:
            failures[address] = unreachable(address, error)
        else:
            return
    raise failures[addresses[0]] if len(failures) == 1 else none_answers(failures)
