"""Calls that come together share one transaction and one sync."""

from __future__ import annotations

import threading

import pytest

from qm.messages import NewTask
from qm.queue import commit
from qm.queue.commit import Commit
from qm.store.base import Transaction
from tests.guard.shop import TYPE, Shop
from tests.queue.bench import PATIENCE, Call

CALLERS = 16


def check_group(shop: Shop, patch: pytest.MonkeyPatch) -> None:
    """Sixteen producers add a task each while a seventeenth commits."""
    in_line = threading.Semaphore(0)
    make_wait = commit._Part.make_wait

    def make_wait_and_say(part: commit._Part) -> None:
        make_wait(part)
        in_line.release()

    patch.setattr(commit._Part, "make_wait", make_wait_and_say)
    patch.setattr(commit, "_SLICE", 60.0)  # however slow the machine is
    calls: list[Call] = []

    def lead(tx: Transaction) -> None:
        calls.extend(Call(shop.queue.add, [_task(number)]) for number in range(CALLERS))
        for _ in range(CALLERS):
            assert in_line.acquire(timeout=PATIENCE)

    def work() -> None:
        shop.queue.core.commit.run(lead)
        for call in calls:
            call.answer()

    shop.bill(work).check(
        "producers that come together: a savepoint and three statements each, one commit for all",
        transactions=1,
        syncs=1,
        statements=6 * CALLERS,  # 83
        log_bytes=29_000,  # 20,600, as for one
    )


def _task(number: int) -> NewTask:
    return NewTask(id=f"together-{number}", type=TYPE, input=b"\x01", digest=bytes(16))


def test_calls_that_come_together_share_a_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    check_group(shop, monkeypatch)


def test_a_commit_for_each_call_is_caught(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commit, "_next_rider", lambda *_: None)
    with pytest.raises(AssertionError, match="17 and not at most 1 transactions"):
        check_group(shop, monkeypatch)
