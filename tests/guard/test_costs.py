"""The cost of the path in statements, commits, syncs, pages and bytes; and that each guard can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from qm.messages import Added, NewTask
from qm.queue import Queue, settle, take
from qm.store.sqlite import SQLiteStore, checkpoint, connection
from qm.store.sqlite.producing import Producing
from qm.store.sqlite.reading import SQLiteReader
from qm.store.sqlite.transaction import SQLiteTransaction
from qm.task import State
from tests.guard import costs
from tests.guard.disk import Disk
from tests.guard.shop import Shop

Check = Callable[[Shop], None]
Mutant = Callable[[pytest.MonkeyPatch], None]

CHECKS = [
    costs.check_one_add,
    costs.check_bulk_add,
    costs.check_drain_one_by_one,
    costs.check_drain_in_batches,
    costs.check_empty_exchange,
    costs.check_get,
    costs.check_list,
    costs.check_status,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_path_costs_no_more_than_it_did(check: Check, shop: Shop) -> None:
    check(shop)


def test_relaxed_durability_does_not_sync_commits(relaxed: Shop) -> None:
    relaxed.add(costs.MANY)
    bill = relaxed.bill(lambda: relaxed.drain(1))
    assert bill.transactions >= costs.MANY
    assert bill.syncs is not None and bill.syncs <= 10, "a commit synced, and not only a log that begins anew"


def check_checkpoints(shop: Shop, disk: Disk) -> None:
    """Some megabytes of log are moved into the file, in a thread of their own."""
    shop.add(costs.MANY)
    before = disk.syncs_beside
    assert shop.bill(lambda: shop.drain(1)).transactions >= costs.MANY
    moves = disk.syncs_beside - before
    assert moves <= 60, f"{moves} syncs beside the commits, and not at most 60: the log is moved too often"


def test_checkpoints_are_few(shop: Shop, disk: Disk) -> None:
    check_checkpoints(shop, disk)


def test_many_checkpoints_are_caught(shop: Shop, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_ENOUGH", 1)
    monkeypatch.setattr(costs, "MANY", 400)
    with pytest.raises(AssertionError, match="not at most 60"):
        check_checkpoints(shop, disk)


def _commit_per_few_tasks(patch: pytest.MonkeyPatch) -> None:
    whole = Queue.add

    def add(queue: Queue, tasks: Sequence[NewTask]) -> Added:
        few = [whole(queue, tasks[start : start + 10]) for start in range(0, len(tasks), 10)]
        return Added([status for added in few for status in added.statuses], [])

    patch.setattr(Queue, "add", add)


def _settling_apart_from_taking(patch: pytest.MonkeyPatch) -> None:
    whole = take.exchange

    def exchange(core: Any, claim: Any, settlements: Any, *rest: Any) -> Any:
        settle.settle_alone(core, settlements)
        return whole(core, claim, (), *rest)

    patch.setattr(take, "exchange", exchange)
    patch.setattr(costs, "MANY", 100)  # fewer will do: they sync


def _row_per_statement(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(connection, "CHUNK", 1)


def _statement_more(patch: pytest.MonkeyPatch) -> None:
    whole = Producing.add

    def add(tx: SQLiteTransaction, *args: Any) -> Any:
        tx.connection.run("counts")
        tx.connection.run("counts")
        return whole(tx, *args)

    patch.setattr(Producing, "add", add)


def _looking_in_vain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("qm.queue.take._is_idle", lambda core, claim, slot: False)


def _input_kept_twice(patch: pytest.MonkeyPatch) -> None:
    whole = Producing._insert

    def insert(tx: SQLiteTransaction, tasks: Sequence[NewTask], now: float) -> None:
        whole(tx, tasks, now)
        tx.connection.run_many("bury_id", [(f"{task.id}-", bytes(200), 0.0) for task in tasks])

    patch.setattr(Producing, "_insert", insert)


def _reads_in_commits(patch: pytest.MonkeyPatch) -> None:
    def get(store: SQLiteStore, ids: Sequence[str]) -> Iterator[Any]:
        with store.begin(sync=False) as tx:
            yield from list(tx.get(ids))

    patch.setattr(SQLiteStore, "get", get)


def _looked_up_twice(patch: pytest.MonkeyPatch) -> None:
    whole = SQLiteReader._listed

    def listed(reader: SQLiteReader, found: Any) -> Any:
        list(whole(reader, found))
        return whole(reader, found)

    patch.setattr(SQLiteReader, "_listed", listed)


def _counted_not_kept(patch: pytest.MonkeyPatch) -> None:
    def counts(store: SQLiteStore) -> dict[str, dict[State, int]]:
        rows = store._connection.db.execute("SELECT state, count(*) FROM tasks GROUP BY state")
        return {"work": {State(state): tasks for state, tasks in rows}}

    patch.setattr(SQLiteStore, "counts", counts)


MUTANTS: list[tuple[Mutant, Check, str]] = [
    (_statement_more, costs.check_one_add, "statements"),
    (_commit_per_few_tasks, costs.check_bulk_add, "statements"),
    (_row_per_statement, costs.check_bulk_add, "statements"),
    (_input_kept_twice, costs.check_bulk_add, "log_writes|pages|statements"),
    (_settling_apart_from_taking, costs.check_drain_one_by_one, "statements|transactions"),
    (_row_per_statement, costs.check_drain_in_batches, "statements"),
    (_looking_in_vain, costs.check_empty_exchange, "statements"),
    (_reads_in_commits, costs.check_get, "statements|transactions"),
    (_looked_up_twice, costs.check_list, "statements"),
    (_counted_not_kept, costs.check_status, "statements"),
]


@pytest.mark.parametrize(
    ("mutant", "check", "number"), MUTANTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_wastes_is_caught(
    mutant: Mutant, check: Check, number: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=rf"not at most [\d,]+ ({number}) "):
        check(shop)
