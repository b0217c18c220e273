"""What the store may be asked for in fixed scenarios: the guard's numbers, each with what it guards.

A number is what was counted when it was written, in the comment, and a small margin. Whoever makes the path
leaner lowers it; whoever must raise it says in the commit what is bought with it.
"""

from __future__ import annotations

from qm.messages import ListQuery
from qm.task import State
from tests.guard.meter import Bill
from tests.guard.shop import Shop

#: Tasks of the larger scenarios.
MANY = 1000


def check_one_add(shop: Shop) -> None:
    """One task, alone."""
    _add(shop, 1).check(
        "an add alone: one commit, one sync, one statement for each table",
        statements=6,  # 5
        transactions=1,
        syncs=1,
        pages=11,  # 7
        log_writes=11,  # 8: two for each page
        log_bytes=23_000,  # 16,480
    )


def check_bulk_add(shop: Shop) -> None:
    """A thousand tasks in one call."""
    _add(shop, MANY).check(
        "a bulk add: a commit for all, a statement for many rows, each page written once",
        statements=30,  # 23
        transactions=1,
        syncs=1,
        pages=1_500,  # 1,150
        log_writes=82,  # 66
        log_bytes=166_000,  # 135,960
    )


def check_drain_one_by_one(shop: Shop) -> None:
    """A thousand exchanges of one task each."""
    shop.add(MANY)
    bill = shop.bill(lambda: shop.drain(1))
    assert shop.queue.done.count() > MANY
    bill.check(
        "an exchange of one task: settling and taking share a commit and a sync",
        statements=8 * MANY,  # 7,005
        transactions=MANY + 2,  # 1,001
        syncs=MANY + 10,  # 1,000, and one each time that the log begins anew
        pages=31 * MANY,  # 26,660
        log_writes=18 * MANY,  # 15,577
        log_bytes=37_000 * MANY,  # 32,086,592
    )


def check_drain_in_batches(shop: Shop) -> None:
    """Ten exchanges of a hundred tasks each."""
    shop.add(MANY)
    bill = shop.bill(lambda: shop.drain(100))
    assert shop.queue.done.count() > MANY
    bill.check(
        "an exchange of a hundred tasks: its statements do not grow with its tasks",
        statements=160,  # 135
        transactions=12,  # 11
        syncs=12,  # 10
        pages=4_800,  # 4,003
        log_writes=660,  # 556
        log_bytes=1_350_000,  # 1,145,360
    )


def check_empty_exchange(shop: Shop) -> None:
    """A look that finds nothing."""
    shop.bill(lambda: shop.drain(1)).check(
        "a look that finds nothing: kept counts say so, and the store is not asked",
        statements=0,
        pages=0,
        syncs=0,
    )


def check_get(shop: Shop) -> None:
    """A thousand tasks in one call."""
    ids = shop.add(MANY)
    shop.bill(lambda: shop.queue.get(ids)).check(
        "a get: a statement for every 32 tasks, and no commit",
        statements=MANY // 32 + 6,  # 34
        transactions=0,
        pages=1_100,  # 869
        log_bytes=0,
    )


def check_list(shop: Shop) -> None:
    """A page of fifty."""
    shop.add(MANY)
    shop.bill(lambda: shop.queue.list(ListQuery(states=(State.WAITING,), limit=50))).check(
        "a page of a list: at most one statement for each of its tasks, and no commit",
        statements=54,  # 53
        transactions=0,
        pages=200,  # about 155
        log_bytes=0,
    )


def check_status(shop: Shop) -> None:
    """With ten tasks, and with ten thousand."""
    shop.add(10)
    few = shop.bill(shop.queue.status)
    for _ in range(10):
        shop.add(MANY)
    many = shop.bill(shop.queue.status)
    assert few.by_name == many.by_name, "status asks the store more when it keeps more"
    many.check("status: the counts are kept, not counted", statements=0, pages=0, syncs=0)


def _add(shop: Shop, tasks: int) -> Bill:
    return shop.bill(lambda: shop.add(tasks))
