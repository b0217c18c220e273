"""Calls to one of several managers: who is called, when another, and what is said where none answers."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import pytest

from qm.errors import AuthFailed, Draining, NotCommitted, QueueError, TimedOut, Unreachable, WrongState
from qm.manager import Server
from qm.testing import FakeClock
from qm.wire import failover, following
from qm.wire.address import Address
from qm.wire.channels import Channels, Limits, dial
from qm.wire.codec import encode
from qm.wire.failover import STAY, Failover
from qm.wire.following import Following
from qm.wire.frames import Connection
from qm.wire.remote import Remote
from tests.manager.serving import Echo, ask, echo_server, serving
from tests.wire.peers import KEY, OTHER_KEY, PATIENCE, Peer, rogue

#: As who knows no other manager dials.
ALONE = Limits()


class Fickle(Echo):
    """Says what it was told to refuse with, if anything."""

    def __init__(self) -> None:
        super().__init__()
        self.error: QueueError | None = None

    def echo(self, text: str) -> str:
        if self.error is not None:
            raise self.error
        return text


class Managers:
    """Servers that can be stopped, and what was dialled."""

    def __init__(self, number: int = 2) -> None:
        self.echoes = [Fickle() for _ in range(number)]
        self._stacks = [ExitStack() for _ in range(number)]
        self.servers: list[Server] = []
        for echo, stack in zip(self.echoes, self._stacks, strict=True):
            self.servers.append(stack.enter_context(serving(echo_server(echo))))
        self.addresses = [server.address for server in self.servers]
        self.dialled: list[tuple[Address, Limits]] = []
        self.connections: list[Connection] = []
        self.clock = FakeClock()

    def dial(self, address: Any, authkey: bytes, /, *, limits: Limits = ALONE) -> Connection:
        self.dialled.append((address, limits))
        connection = dial(address, authkey, limits=limits)
        self.connections.append(connection)
        return connection

    def failover(self, *more: Address) -> Failover:
        return Failover([*self.addresses, *more], KEY, self.dial, self.clock)

    def die(self, number: int) -> None:
        """It takes in nobody, and says nothing more to those who are there."""
        self.servers[number].listener.close()
        for connection in self.connections:
            connection.hang_up()

    def stop(self, number: int) -> None:
        self._stacks[number].close()

    def start(self, number: int) -> None:
        server = echo_server(self.echoes[number], self.addresses[number])
        self._stacks[number].enter_context(serving(server))

    def close(self) -> None:
        for echo, stack in zip(self.echoes, self._stacks, strict=True):
            echo.let_go.set()
            stack.close()


@pytest.fixture
def managers() -> Iterator[Managers]:
    managers = Managers()
    yield managers
    managers.close()


@pytest.fixture
def route(managers: Managers) -> Iterator[Failover]:
    route = managers.failover()
    yield route
    route.close()


def here(managers: Managers, route: Failover) -> int:
    return managers.addresses.index(route.address)


def other(managers: Managers, route: Failover) -> int:
    return 1 - here(managers, route)


@contextmanager
def black_hole() -> Iterator[Address]:
    """An address that answers nothing, as that of a host without power: its line of callers is full."""
    with socket.socket() as full, ExitStack() as callers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        yield Address(*full.getsockname())


def closed_port() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Address(*server.getsockname())


# Who is called.


def test_who_knows_one_manager_pays_nothing_for_those_who_know_several() -> None:
    place = Address("host", 8090)
    assert type(Remote(place, KEY)._channels) is Channels
    assert type(Remote(place, KEY, which=lambda: 0)._channels) is Channels
    assert type(Remote(place, KEY, others=[Address("b", 1)])._channels) is Failover
    assert type(Remote(place, KEY, others=[Address("b", 1)], which=lambda: 0)._channels) is Following


def test_a_fleet_spreads_over_all_managers(managers: Managers) -> None:
    fleet = Counter(managers.failover(Address("third", 1)).address for _ in range(300))
    assert len(fleet) == 3 and min(fleet.values()) > 50


def test_a_manager_is_kept_while_it_works(managers: Managers, route: Failover) -> None:
    for n in range(20):
        assert ask(route, "echo", str(n)) == str(n)
    assert [place for place, _ in managers.dialled] == [route.address]


def test_a_manager_that_is_gone_is_left_at_once(managers: Managers, route: Failover) -> None:
    assert ask(route, "echo", "a") == "a"
    left = here(managers, route)
    managers.stop(left)
    assert ask(route, "echo", "b") == "b"
    assert here(managers, route) != left
    managers.start(left)
    managers.stop(1 - left)
    assert ask(route, "echo", "c") == "c", "and so is the next one"


def test_a_manager_that_is_stopping_is_left_at_once(managers: Managers, route: Failover) -> None:
    left = here(managers, route)
    managers.echoes[left].error = Draining("it is stopping")
    assert ask(route, "echo", "a") == "a"
    assert here(managers, route) != left


def test_an_answer_is_an_answer(managers: Managers, route: Failover) -> None:
    """A refusal that another manager would repeat."""
    before = here(managers, route)
    managers.echoes[before].error = WrongState("it has ended")
    with pytest.raises(WrongState):
        ask(route, "echo", "a")
    assert here(managers, route) == before


def test_a_host_that_is_gone_costs_less_than_a_connect_may_take(managers: Managers) -> None:
    """Nobody resets a connection to it."""
    managers.stop(1)
    with black_hole() as hole:
        route = Failover([managers.addresses[0], hole], KEY, managers.dial, managers.clock)
        route._here = route._routes[hole]
        assert ask(route, "echo", "a") == "a"
        assert managers.dialled[0] == (hole, Limits(1.0, 3.5, True))
        route.close()


def test_a_manager_that_says_nothing_costs_less_than_a_handshake_may_take(
    managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped by a signal, perhaps."""
    monkeypatch.setattr(failover, "_LIMITS", (Limits(0.2, 0.2, True),))

    def say_nothing(peer: Peer) -> None:
        peer.read_to_end()

    with rogue(say_nothing) as silent:
        route = Failover([managers.addresses[0], silent], KEY, managers.dial, managers.clock)
        route._here = route._routes[silent]
        assert ask(route, "echo", "a") == "a"
        assert route.address == managers.addresses[0]
        route.close()


def test_the_silence_of_a_host_is_noticed_sooner_where_there_are_others(
    managers: Managers, route: Failover
) -> None:
    ask(route, "echo", "a")
    sock = managers.connections[0].sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5


def test_after_a_call_that_waited_in_vain_the_next_goes_elsewhere(
    managers: Managers, route: Failover
) -> None:
    """A manager that is stopped by a signal, or hangs: its host still answers for it."""
    left = here(managers, route)
    with pytest.raises(TimedOut):
        ask(route, "hold", "a", timeout=0.05)
    assert here(managers, route) != left
    assert ask(route, "echo", "b") == "b"


def test_a_renewal_is_waited_for_half_as_long(managers: Managers, route: Failover) -> None:
    """Its session's term runs."""
    asked: list[float] = []

    class Noting(Channels):
        def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
            asked.append(timeout)
            return b""

    for place in managers.addresses:
        route._routes[place] = Noting(place, KEY)
    route._here = route._routes[managers.addresses[0]]
    for verb in ("renew", "status"):
        route.call("queue", verb, b"", 40.0)
    assert asked == [20.0, 40.0]


def test_a_manager_that_lost_the_database_is_left_after_a_moment(managers: Managers, route: Failover) -> None:
    """Not at once: mostly the database is away for all of them."""
    left = here(managers, route)
    managers.echoes[left].error = NotCommitted("the database is away")
    for _ in range(3):
        with pytest.raises(NotCommitted):
            ask(route, "echo", "a")
    assert here(managers, route) == left
    managers.clock.advance(60)
    with pytest.raises(NotCommitted):
        ask(route, "echo", "that was another time")
    managers.clock.advance(1)
    assert ask(route, "echo", "b") == "b"
    assert here(managers, route) != left


def test_a_manager_that_commits_others_of_the_kind_is_not_left(managers: Managers, route: Failover) -> None:
    """One call alone may stand in its own way: an id that an open transaction adds."""
    left = here(managers, route)
    for _ in range(5):
        managers.echoes[left].error = NotCommitted("another transaction holds what this needs")
        with pytest.raises(NotCommitted):
            ask(route, "echo", "a")
        managers.echoes[left].error = None
        assert ask(route, "echo", "b") == "b"
        managers.clock.advance(1)
    assert here(managers, route) == left


# Where none answers.


def test_one_error_names_all_and_says_why(managers: Managers) -> None:
    managers.stop(0)
    with rogue(lambda peer: peer.sock.close()) as rude:
        managers.echoes[1].error = Draining("the manager is stopping")
        route = managers.failover(rude)
        with pytest.raises(Unreachable) as caught:
            ask(route, "echo", "a")
        route.close()
    told = str(caught.value)
    assert told.startswith("none of 3 managers can be reached: ")
    assert f"{managers.addresses[0]} (connection refused)" in told
    assert f"{managers.addresses[1]} (the manager is stopping)" in told
    assert f"{rude} (" in told, "closed or reset, as the moment has it"
    assert caught.value.hint and "QM_RPC" in caught.value.hint


@pytest.mark.parametrize("error", [Draining("stopping"), NotCommitted("no database")])
def test_an_error_in_which_all_agree_stays_what_it_is(
    managers: Managers, route: Failover, error: QueueError
) -> None:
    for echo in managers.echoes:
        echo.error = error
    with pytest.raises(NotCommitted) if isinstance(error, NotCommitted) else pytest.raises(Draining):
        ask(route, "echo", "a")
    managers.clock.advance(1)
    with pytest.raises(type(error), match="none of 2 managers serves us"):
        ask(route, "echo", "a")


def test_each_round_in_vain_gives_the_next_more_time(managers: Managers, route: Failover) -> None:
    """For a network that is slow, and not gone."""
    managers.stop(0)
    managers.stop(1)
    for _ in range(4):
        with pytest.raises(Unreachable):
            ask(route, "echo", "a")
    connects = [limits.connect for _, limits in managers.dialled]
    assert connects == [1, 1, 2, 2, 5, 5, 5, 5]
    managers.clock.advance(61)
    with pytest.raises(Unreachable):
        ask(route, "echo", "a")
    assert managers.dialled[-1][1].connect == 1


def test_those_who_come_back_are_found_by_the_next_round(managers: Managers, route: Failover) -> None:
    managers.stop(0)
    managers.stop(1)
    with pytest.raises(Unreachable):
        ask(route, "echo", "a")
    managers.start(1)
    assert ask(route, "echo", "b") == "b"


def test_those_who_follow_are_told_of_each_other_place(managers: Managers, route: Failover) -> None:
    """Also of the one where the next round begins: it may be there that a call succeeds."""
    told: list[int] = [here(managers, route)]
    route.tell = told.append
    for n in range(40):
        dead = n % 2
        managers.stop(dead)
        managers.stop(1 - dead)
        with pytest.raises(Unreachable):
            ask(route, "echo", "a")
        assert told[-1] == here(managers, route)
        managers.start(dead)
        assert ask(route, "echo", "b") == "b"
        managers.start(1 - dead)
        assert told[-1] == here(managers, route) == dead
    assert all(one != another for one, another in pairwise(told))


# Keys.


def test_a_manager_that_refuses_our_key_is_left_and_left_alone(managers: Managers) -> None:
    refused = 0

    def refuse(peer: Peer) -> None:
        nonlocal refused
        refused += 1
        peer.send(b"qm1" + bytes(32))
        peer.read()

    with rogue(refuse) as picky:
        route = managers.failover(picky)
        route._here = route._routes[picky]
        assert ask(route, "echo", "a") == "a"
        assert refused == 2  # asked twice before it is believed
        for n in (0, 1):
            managers.stop(n)
        for _ in range(5):
            route._here = route._routes[managers.addresses[0]]
            with pytest.raises(Unreachable, match=f"the manager at {picky} refused the authkey"):
                ask(route, "echo", "b")
        assert refused == 2
        managers.clock.advance(10)
        route._here = route._routes[managers.addresses[0]]
        with pytest.raises(Unreachable):
            ask(route, "echo", "c")
        assert refused == 4
        route.close()


def test_a_key_that_all_refuse_is_wrong(managers: Managers) -> None:
    route = Failover(managers.addresses, OTHER_KEY, managers.dial, managers.clock)
    with pytest.raises(AuthFailed) as caught:
        ask(route, "echo", "a")
    for place in managers.addresses:
        assert f"the manager at {place} refused the authkey" in str(caught.value)
    assert caught.value.hint and "--authkey-file" in caught.value.hint


# Nobody is for ever.


def draws(managers: Managers, route: Failover, times: int, seconds: float) -> list[int]:
    """Where the calls go, one each so many seconds."""
    found = []
    for _ in range(times):
        managers.clock.advance(seconds)
        assert ask(route, "echo", "a") == "a"
        found.append(here(managers, route))
    return found


def test_after_some_minutes_the_manager_is_drawn_anew(managers: Managers, route: Failover) -> None:
    first = here(managers, route)
    assert draws(managers, route, 1, STAY[0] - 1) == [first]
    found = Counter(draws(managers, route, 200, STAY[1]))
    assert min(found[0], found[1]) > 50
    assert len([c for c in managers.connections if c.fileno() != -1]) == 1, "some are left behind"


def test_the_fleet_of_a_dead_manager_comes_back_to_it(managers: Managers) -> None:
    fleet = [managers.failover() for _ in range(60)]
    managers.stop(0)
    for route in fleet:
        ask(route, "echo", "a")
    assert {here(managers, route) for route in fleet} == {1}
    managers.start(0)
    managers.clock.advance(STAY[1])
    for route in fleet:
        ask(route, "echo", "b")
    back = sum(here(managers, route) == 0 for route in fleet)
    assert 12 < back < 48
    for route in fleet:
        route.close()


def test_a_drawn_manager_that_is_away_costs_little_and_changes_nothing(
    managers: Managers, route: Failover
) -> None:
    ask(route, "echo", "a")
    before = here(managers, route)
    managers.stop(1 - before)
    assert draws(managers, route, 30, STAY[1]) == [before] * 30
    probes = [limits for place, limits in managers.dialled if place == managers.addresses[1 - before]]
    assert probes and set(probes) == {Limits(0.25, 0.5, True)}
    assert len([c for c in managers.connections if c.fileno() != -1]) == 1


def test_calls_under_way_are_answered_where_they_were_said(managers: Managers, route: Failover) -> None:
    """Also those that have a connection of their own, which is then not kept."""
    before = here(managers, route)
    with ThreadPoolExecutor(2) as pool:
        held = [
            pool.submit(ask, route, "hold", "a", waits=True),
            pool.submit(ask, route, "hold", "b", waits=True),
        ]
        for _ in held:
            managers.echoes[before].begun.get(timeout=PATIENCE)
        while here(managers, route) == before:
            draws(managers, route, 1, STAY[1])
        managers.echoes[before].let_go.set()
        assert [one.result(PATIENCE) for one in held] == ["a", "b"]
    assert len([c for c in managers.connections if c.fileno() != -1]) == 1


def test_who_holds_a_session_moves_only_when_it_renews(managers: Managers, route: Failover) -> None:
    """At another manager it has to attach again, and a take does not know how."""
    with pytest.raises(QueueError):  # the small server knows no such verb, but the route does
        route.call("queue", "attach", encode([]), 5)
    before = here(managers, route)
    assert draws(managers, route, 30, STAY[1]) == [before] * 30
    moved = set()
    for _ in range(60):
        managers.clock.advance(STAY[1])
        with pytest.raises(QueueError):
            route.call("queue", "renew", encode([]), 5)
        moved.add(here(managers, route))
    assert moved == {0, 1}
    with pytest.raises(QueueError):
        route.call("queue", "detach", encode([]), 5)
    assert set(draws(managers, route, 60, STAY[1])) == {0, 1}


# Several threads, and forks.


def hold(pool: ThreadPoolExecutor, managers: Managers, route: Failover, place: int) -> list[Future[str]]:
    """Calls of 16 threads, all on one connection; the first of them is being answered."""
    ask(route, "echo", "a")
    held = [pool.submit(ask, route, "hold", "x") for _ in range(16)]
    managers.echoes[place].begun.get(timeout=PATIENCE)
    line, pause = route._here._shared, threading.Event()
    while line is None or len(line._calls) < 16:
        pause.wait(0.01)
    return held


def test_threads_look_for_another_manager_once(managers: Managers, route: Failover) -> None:
    left = here(managers, route)
    with ThreadPoolExecutor(16) as pool:
        held = hold(pool, managers, route, left)
        managers.die(left)
        managers.echoes[1 - left].let_go.set()
        assert {one.result(PATIENCE) for one in held} == {"x"}
        managers.echoes[left].let_go.set()
    assert here(managers, route) != left
    assert [place for place, _ in managers.dialled].count(managers.addresses[1 - left]) == 1


def test_threads_do_not_look_one_after_another_where_none_answers(
    managers: Managers, route: Failover, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(route, "echo", "a")
    left = here(managers, route)
    slow, dials = threading.Event(), []

    def dial_slowly(address: Any, authkey: bytes, /, *, limits: Limits = ALONE) -> Connection:
        dials.append(address)
        slow.wait(PATIENCE)
        return managers.dial(address, authkey, limits=limits)

    monkeypatch.setattr(route, "_dial", dial_slowly)
    managers.stop(1 - left)
    with ThreadPoolExecutor(16) as pool:
        held = hold(pool, managers, route, left)
        managers.die(left)
        while not dials:
            slow.wait(0.01)
        slow.wait(0.1)  # the others have failed meanwhile, and wait for who looks
        slow.set()
        for one in held:
            assert isinstance(one.exception(PATIENCE), Unreachable)
        managers.echoes[left].let_go.set()
    assert len(dials) <= 3, "else each of them has looked"


def test_a_forked_process_draws_for_itself(
    managers: Managers, route: Failover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all of a server's workers would sit where their parent sat when it forked."""
    drawn = set()
    pid = os.getpid()
    for n in range(60):
        with route._moving, monkeypatch.context() as child:  # held by a thread that the child has not
            child.setattr(os, "getpid", lambda n=n: pid + 1 + n)
            assert ask(route, "echo", "the child's") == "the child's"
            drawn.add(here(managers, route))
            route.close()
    assert drawn == {0, 1}


# Who follows.


def test_a_follower_calls_whom_it_is_told_and_nobody_else(managers: Managers) -> None:
    which = 0
    route = Following(managers.addresses, KEY, managers.dial, lambda: which)
    assert ask(route, "echo", "a") == "a"
    managers.stop(0)
    with pytest.raises(Unreachable):
        ask(route, "echo", "b")
    which = 1
    assert ask(route, "echo", "c") == "c"
    assert route.address == managers.addresses[1]
    assert [place for place, _ in managers.dialled] == managers.addresses
    route.close()


def test_a_follower_keeps_no_connection_to_whom_it_has_left(managers: Managers) -> None:
    which = 0
    route = Following(managers.addresses, KEY, managers.dial, lambda: which)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, route, "hold", "a", waits=True)
        managers.echoes[0].begun.get(timeout=PATIENCE)
        which = 1
        route.look()
        assert ask(route, "echo", "b") == "b"
        managers.echoes[0].let_go.set()
        assert held.result(PATIENCE) == "a", "but what was said there is answered, for a moment"
    route.look()
    assert len([c for c in managers.connections if c.fileno() != -1]) == 1
    route.close()


@pytest.mark.parametrize("waits", [True, False])
def test_a_follower_does_not_wait_for_an_answer_of_whom_it_has_left_for_long(
    managers: Managers, waits: bool
) -> None:
    """That one stands still, or is cut off: nothing would come for as long as a call may take."""
    which = 0
    route = Following(managers.addresses, KEY, managers.dial, lambda: which)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, route, "hold", "a", waits=waits)
        managers.echoes[0].begun.get(timeout=PATIENCE)
        which = 1
        for _ in range(2):
            route.look()
        with pytest.raises(Unreachable):
            held.result(PATIENCE)
    assert ask(route, "echo", "b") == "b"
    route.close()


def test_a_follower_looks_for_itself(managers: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK", 0.01)
    which = 0
    route = Following(managers.addresses, KEY, managers.dial, lambda: which)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, route, "hold", "a", waits=True)
        managers.echoes[0].begun.get(timeout=PATIENCE)
        which = 1
        with pytest.raises(Unreachable):
            held.result(PATIENCE)
    route.close()


def test_a_closed_port_is_told_as_such() -> None:
    route = Failover([closed_port(), closed_port()], KEY, dial)
    with pytest.raises(Unreachable, match=r"none of 2 managers can be reached: .*refused.*refused"):
        ask(route, "echo", "a")
