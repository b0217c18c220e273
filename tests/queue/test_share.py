"""How many tasks one call gets: nobody sits on a full batch while others stand idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from qm.messages import Taken
from tests.queue.bench import Bench, a_claim


def shared(bench: Bench, call: int, **claim: Any) -> Sequence[Taken]:
    """What a call gets that leaves others their share."""
    return bench.queue.exchange(replace(a_claim(call, **claim), share=True), ()).tasks


def test_a_batch_is_shared_with_the_other_processes(bench: Bench) -> None:
    bench.attach()  # two processes
    bench.add(*(f"t{n}" for n in range(10)))
    assert len(shared(bench, 1, limit=100)) == 5
    assert len(shared(bench, 1, index=1, limit=100)) == 3


def test_a_call_that_does_not_share_gets_all_it_asks_for(bench: Bench) -> None:
    bench.attach()
    bench.add(*(f"t{n}" for n in range(10)))
    assert len(bench.take(1, limit=100)) == 10


def test_the_last_task_goes_to_who_asks(bench: Bench) -> None:
    bench.attach()
    bench.add("last")
    assert [task.id for task in shared(bench, 1, limit=100)] == ["last"]


def test_all_pools_that_serve_the_type_count(bench: Bench) -> None:
    for name in ("one", "two", "three"):
        bench.attach(name)
    bench.attach("another", types=["sms"])
    bench.add(*(f"t{n}" for n in range(60)))
    assert len(shared(bench, 1, session="one", types=["mail"], limit=100)) == 10


def test_a_pool_that_leaves_does_not_count(bench: Bench) -> None:
    bench.attach("stays")
    bench.attach("leaves")
    bench.queue.renew("leaves", draining=True)
    bench.add(*(f"t{n}" for n in range(40)))
    assert len(shared(bench, 1, session="stays", limit=100)) == 20


def test_a_call_gets_no_more_than_it_asks_for(bench: Bench) -> None:
    bench.attach()
    bench.add(*(f"t{n}" for n in range(100)))
    assert len(shared(bench, 1, limit=3)) == 3
    assert len(shared(bench, 2, limit=1)) == 1
