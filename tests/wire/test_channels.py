"""Dialling: what a connection says that ends before the manager has proved its key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qm.errors import AuthFailed, Unreachable
from qm.wire.channels import dial
from tests.wire.peers import KEY, Peer, proof, rogue

CHALLENGE = bytes(range(32))


def hang_up(peer: Peer) -> None:
    """As a manager that refuses our key, or is killed."""
    peer.send(b"qm1" + CHALLENGE)
    peer.read()


def welcome(peer: Peer) -> None:
    peer.send(b"qm1" + CHALLENGE)
    nonce = peer.read()[:32]
    peer.send(proof(KEY, b"server", CHALLENGE, nonce))


def leave(peer: Peer) -> None:
    """Before it has seen our proof."""


class Acts:
    """What a server does to one client after the other; to those that come later, the last."""

    def __init__(self, *acts: Callable[[Peer], None]) -> None:
        self.done = 0
        self._acts = acts

    def __call__(self, peer: Peer) -> None:
        act = self._acts[min(self.done, len(self._acts) - 1)]
        self.done += 1
        act(peer)


def test_a_key_is_wrong_when_it_is_refused_twice() -> None:
    acts = Acts(hang_up)
    with rogue(acts) as address, pytest.raises(AuthFailed, match=f"{address} refused the authkey") as caught:
        dial(address, KEY)
    assert acts.done == 2
    assert caught.value.hint == "use that manager's key (--authkey-file)"


def test_a_manager_that_was_killed_in_the_handshake_and_is_back_knows_our_key() -> None:
    acts = Acts(hang_up, welcome)
    with rogue(acts) as address:
        dial(address, KEY).close()
    assert acts.done == 2


def test_one_that_was_killed_in_the_handshake_and_is_away_is_called_so() -> None:
    acts = Acts(hang_up, leave)
    with rogue(acts) as address, pytest.raises(Unreachable):
        dial(address, KEY)
    assert acts.done == 2
