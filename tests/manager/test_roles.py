"""Fault 30: each role may call its own verbs, and nothing else by any name; also under `python -O`.

What an operator may call is all that can be called at all: `test_nothing_else` has the rest.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.errors import AuthFailed, NotAllowed, QueueError, Unreachable
from qm.manager.admission import Admission
from qm.wire.codec import encode
from qm.wire.remote import Channels
from qm.wire.roles import Key, Role
from qm.wire.verbs import OBJECTS, QUEUE, VIEW, roles
from tests.manager.serving import Managed, managed
from tests.manager.test_nothing_else import NAMES
from tests.wire.peers import KEY, OTHER_KEY, PATIENCE, Peer

#: As docs/tls.md has it; not read from the code.
OF_QUEUE = {
    Role.CLIENT: ["add", "get", "list", "attempts", "status", "cancel", "forget"],
    Role.WORKER: [
        *("attach", "renew", "detach", "crashed", "take", "exchange"),
        *("finish", "fail", "retry", "release", "progress", "status", "get"),
    ],
    Role.OPERATOR: list(QUEUE),
}
OF_VIEWS = {Role.CLIENT: list(VIEW), Role.WORKER: [], Role.OPERATOR: list(VIEW)}

KEYS = tuple(Key(f"a {role}", role, role.encode() * 8) for role in Role)
SECRETS = {key.role: key.secret for key in KEYS}


def allowed(target: str, role: Role) -> list[str]:
    if target not in OBJECTS:
        return []
    return (OF_QUEUE if target == "queue" else OF_VIEWS)[role]


def refused(channels: Channels, target: str, name: str) -> bool:
    """Whether the call is not for the caller; anything else that can come of it is for who may call."""
    try:
        channels.call(target, name, encode([None] * 9), PATIENCE)
    except NotAllowed:
        return True
    except QueueError:  # the arguments are wrong: it was let in
        return False
    return False


@pytest.fixture(scope="module")
def manager() -> Iterator[Managed]:
    with managed(keys=KEYS) as manager:
        yield manager


@pytest.fixture(params=Role)
def role(request: pytest.FixtureRequest) -> Role:
    role = request.param
    assert isinstance(role, Role)
    return role


@pytest.fixture
def channels(manager: Managed, role: Role) -> Iterator[Channels]:
    channels = Channels(manager.address, SECRETS[role])
    yield channels
    channels.close()


@pytest.mark.parametrize("target", [*OBJECTS, "0", "", "core"])
def test_a_role_can_call_its_own_verbs_and_nothing_else(channels: Channels, role: Role, target: str) -> None:
    """Every method of every object, Python's own names, `#GETVALUE` and the standard library's commands."""
    let_in = [name for name in NAMES if not refused(channels, target, name)]
    assert sorted(let_in) == sorted(allowed(target, role))


@pytest.mark.parametrize("target", OBJECTS)
def test_the_table_says_the_same(target: str, role: Role) -> None:
    assert {verb for verb in OBJECTS[target] if role in roles(target, verb)} == set(allowed(target, role))


def test_what_the_table_does_not_know_is_for_operators() -> None:
    """So that a new verb is not open to everybody because somebody forgot it."""
    assert roles("queue", "new") == roles("new", "add") == roles("done", "new") == {Role.OPERATOR}


def test_who_is_refused_is_told_which_role_is_needed(manager: Managed) -> None:
    channels = Channels(manager.address, SECRETS[Role.WORKER])
    with pytest.raises(NotAllowed) as caught:
        channels.call("queue", "add", encode([[]]), PATIENCE)
    assert str(caught.value) == "add of queue is not for 'a worker', whose role is worker"
    assert caught.value.hint == "it needs the role client or operator"
    channels.close()


def test_a_refused_call_changes_nothing_and_the_connection_goes_on(manager: Managed) -> None:
    channels = Channels(manager.address, SECRETS[Role.WORKER])
    task = {"id": "t", "type": "t", "input": b"", "digest": bytes(16)}
    with pytest.raises(NotAllowed):
        channels.call("queue", "add", encode([[task]]), PATIENCE)
    assert manager.queue.wait.count() == 0
    channels.call("queue", "status", encode([]), PATIENCE)
    channels.close()


def test_a_key_that_is_gone_ends_its_connections_and_no_others() -> None:
    with managed(keys=KEYS) as manager:
        peers = {role: Peer.known(manager.address, secret) for role, secret in SECRETS.items()}
        kept = tuple(key for key in KEYS if key.role is not Role.CLIENT)
        manager.server.admit_by(Admission.of(kept))
        assert peers[Role.CLIENT].read_to_end() == b""
        for role in (Role.WORKER, Role.OPERATOR):
            peers[role].ask(1, "queue", "status", encode([]))
            assert peers[role].read()
        with pytest.raises(AuthFailed):
            Channels(manager.address, SECRETS[Role.CLIENT]).call("queue", "status", encode([]), PATIENCE)
        for peer in peers.values():
            peer.sock.close()


def test_a_call_that_waits_ends_with_its_key() -> None:
    with managed(keys=KEYS) as manager:
        channels = Channels(manager.address, SECRETS[Role.CLIENT])
        task = {"id": "t", "type": "t", "input": b"", "digest": bytes(16)}
        channels.call("queue", "add", encode([[task]]), PATIENCE)
        with Peer.known(manager.address, SECRETS[Role.CLIENT]) as waiting:
            waiting.ask(1, "queue", "get", encode([["t"], 30.0]))
            manager.server.admit_by(Admission.of(OTHER_KEY))
            assert waiting.read_to_end() == b""
        with pytest.raises((AuthFailed, Unreachable)):
            channels.call("queue", "status", encode([]), PATIENCE)
        channels.close()


def test_another_role_is_another_key() -> None:
    """A connection keeps the role that it came in with, so it must come in anew."""
    key = Key("one", Role.OPERATOR, KEY)
    with managed(keys=[key]) as manager, Peer.known(manager.address) as peer:
        manager.server.admit_by(Admission.of([key._replace(role=Role.WORKER)]))
        assert peer.read_to_end() == b""


def test_a_key_that_is_taken_away_during_the_handshake_does_not_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with managed(keys=KEYS) as manager:
        admit = Admission.admit

        def slow(admission: Admission, connection: object) -> Key:
            key = admit(admission, connection)  # type: ignore[arg-type]
            manager.server.admit_by(Admission.of(OTHER_KEY))
            return key

        monkeypatch.setattr(Admission, "admit", slow)
        with Peer.known(manager.address, SECRETS[Role.CLIENT]) as peer:
            assert peer.read_to_end() == b""
        assert not manager.server._holders


def test_the_log_says_whose_connection_it_is_and_never_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with managed(keys=KEYS) as manager, Peer.known(manager.address, SECRETS[Role.WORKER]) as peer:
        peer.ask(1, "queue", "status", encode([]))
        peer.read()
    assert "is a worker, with the role worker" in caplog.text
    assert not [key for key in KEYS if key.secret.decode() in caplog.text]


def test_a_connection_leaves_nothing_behind() -> None:
    with managed(keys=KEYS) as manager:
        for _ in range(20):
            with Peer.known(manager.address, SECRETS[Role.CLIENT]):
                pass
    assert not manager.server._holders and not manager.server._proved


#: Run with -O: it uses no assert.
OPTIMIZED = """
from tests.manager.serving import managed
from tests.manager.test_nothing_else import NAMES
from tests.manager.test_roles import KEYS, SECRETS, allowed, refused
from qm.wire.remote import Channels
from qm.wire.verbs import OBJECTS

if __debug__:
    raise SystemExit("this is not python -O")
calls = 0
with managed(keys=KEYS) as manager:
    for role, secret in SECRETS.items():
        channels = Channels(manager.address, secret)
        for target in (*OBJECTS, "0", ""):
            let_in = [name for name in NAMES if not refused(channels, target, name)]
            if sorted(let_in) != sorted(allowed(target, role)):
                raise SystemExit(f"{role} may call {let_in} of {target!r}")
            calls += len(NAMES)
        channels.close()
print(calls)
"""


def test_the_same_holds_without_assertions() -> None:
    ran = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMIZED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 3 * 6 * 50
