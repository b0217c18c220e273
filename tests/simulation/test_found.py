"""What the simulation, and the thinking that it takes, has found, as small as it gets."""

from __future__ import annotations

import pytest

from qm.errors import NotCommitted, SessionLost
from qm.limits import SESSION_TERM
from qm.messages import Crash, Slot
from qm.task import State
from tests.queue.bench import Bench


def test_nobody_takes_under_a_session_that_was_never_stored() -> None:
    """The disk is full when a pool attaches, a child takes before the next try, and then all of them die:
    after a restart nobody would know that the task is held."""
    bench = Bench()
    bench.add("a")
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.attach()
    with pytest.raises(SessionLost):
        bench.take()
    bench.attach()
    bench.assert_takes("a")


def test_what_a_dead_child_took_by_a_late_call_goes_to_its_successor() -> None:
    """Seeds 204110 and 218808: the call was under way while its child died and its session ended and opened
    again. Nobody runs the task, and for as long as the session lives nobody gets it."""
    bench = Bench()
    bench.attach()
    bench.queue.crashed(Crash(slot=Slot("pool", 0, 0), exitcode=-9))
    bench.clock.advance(SESSION_TERM)
    bench.tick()
    bench.attach()
    bench.add("a")
    bench.take(incarnation=0)
    bench.assert_takes("a", incarnation=1)


def test_a_session_that_opens_again_is_told_what_to_stop() -> None:
    """Seed 203857: the session ended, but the disk was full, so that it still holds its tasks."""
    bench = Bench()
    (lease,) = bench.leases("a")
    bench.queue.cancel(["a"])
    bench.clock.advance(SESSION_TERM)
    bench.store.refuse = 1
    with pytest.raises(NotCommitted):
        bench.tick()
    bench.attach()
    assert bench.state("a") is State.RUNNING
    assert bench.queue.renew("pool").cancel == [lease]
