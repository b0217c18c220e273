"""A copy that is killed at random moments goes on, and lets no manager in before it is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qm.errors import StoreBusy, StoreDamaged
from qm.messages import Finish
from qm.store import open_store
from qm.store.base import Store
from qm.store.moving import Move
from qm.testing.contract.samples import DAY, HOUR, NOW, SLOT, WORKER, counts, new
from tests.postgres import want_postgres
from tests.store.moving.places import Place

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

#: `qmanager copy`, in chunks small enough for kills to fall between and into many.
PROGRAM = """
import sys
from qm.store.moving import Move
with Move(sys.argv[1], sys.argv[2], now=0.0, rows=25) as move:
    print("copying", flush=True)
    move.run(lambda note, done: None)
"""

TASKS = 12_000
SEED = 6


def fill(store: Store) -> None:
    """Many tasks, some with a history."""
    store.attach(WORKER, NOW)
    for start in range(0, TASKS, 1000):
        store.add([new(f"{n}", input_=bytes(n % 300)) for n in range(start, start + 1000)], NOW)
    for _ in range(16):
        store.finish(
            [Finish(one.lease, b"\xc3") for one in store.take(SLOT, ["mail"], 256, NOW, HOUR)], NOW, DAY
        )
    store.take(SLOT, ["mail"], 20, NOW, HOUR)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    with want_postgres().database() as one, want_postgres().database() as other:
        urls = [one, other]
        yield lambda dialect: Place(urls.pop() if dialect == "postgres" else tmp_path / f"{len(urls)}.db")


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_copy_that_is_killed_at_random_moments_ends_whole(
    place: Callable[[str], Place], source: str, target: str
) -> None:
    start, there = place(source), place(target)
    with closing(open_store(start.url)) as store:
        fill(store)
        expected = counts(store)
    chance = random.Random(SEED)
    fractions: list[int] = []
    for run in range(1, 31):
        copy = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, start.url, there.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert copy.stdout is not None
        assert copy.stdout.readline() == "copying\n"
        time.sleep(chance.uniform(0.0, 0.02 * run))
        copy.send_signal(signal.SIGKILL)
        copy.communicate(timeout=60)
        if not _is_refused(there):
            break
        fractions.append(sum(len(rows) for rows in there.contents().values()))
    else:
        with Move(start.url, there.url, now=0.0) as move:
            move.run(lambda note, done: None)
    assert len(set(fractions)) > 4, f"killed at too few different moments: {fractions}"
    assert fractions == sorted(fractions), "what was copied was copied for good"
    assert there.contents() == start.contents()
    with closing(open_store(there.url)) as store:
        assert counts(store) == expected
        assert len(store.held(SLOT)) == 20


def _is_refused(there: Place) -> bool:
    """Whether no manager starts over it, once the server has ended the killed one's session."""
    for _ in range(100):
        try:
            open_store(there.url).close()
        except StoreBusy:
            time.sleep(0.05)
        except StoreDamaged as error:
            assert "unfinished copy" in str(error)
            return True
        else:
            return False
    raise AssertionError("the killed copy's lock stayed")
