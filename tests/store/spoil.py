"""Spoils a store's file at random, and judges what a manager would say of it.

python -m tests.store.spoil [SEED [TRIES]]     many tries, with the figures at the end
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from qm.errors import QueueError, StoreError
from qm.messages import Finish, ListQuery, Slot, TypeOptions, WorkerInfo
from qm.store.sqlite import SQLiteStore
from qm.store.sqlite.check import check_file
from qm.task import State
from qm.testing.contract.samples import new

NOW = 1.0

#: What can become of a spoilt store; see `judge`.
VERDICTS = ("refused", "ended", "told", "found", "unnoticed", "wrong")

TASKS = 200

#: What the bytes of a task's payload are made of, and of nothing else: where they are changed, it shows.
_INPUT, _OUTPUT = b"\xa5", b"\x5a"


def input_of(n: int) -> bytes:
    """The input of a task: small and large ones, in the row and beside it."""
    return _INPUT * (20 + 700 * (n % 3))


def output_of(n: int) -> bytes:
    """The result of a task."""
    return _OUTPUT * (20 + 700 * (n % 3))


def make(path: Path) -> None:
    """A store with waiting, running and ended tasks."""
    store = SQLiteStore.open(path)
    store.attach(WorkerInfo(session="s", host="h", pid=1, processes=1, types={"mail": TypeOptions()}), NOW)
    store.add([new(f"t{n}", input_=input_of(n)) for n in range(TASKS)], NOW)
    for taken in store.take(Slot("s", 0, 0), ["mail"], 80, NOW, 60):
        n = int(taken.lease.id[1:])
        if n < 70:
            store.finish([Finish(taken.lease, output_of(n))], NOW, 60)
    store.close()


def spoil(path: Path, draw: random.Random) -> str:
    """One fault: a flipped bit, a page of zeros, or a cut end. Says which; `payload flip` where it hit the
    bytes of a payload, and `flip` anywhere else."""
    size = path.stat().st_size
    kind = draw.choice(["flip", "flip", "zero", "cut"])
    if kind == "cut":
        os.truncate(path, draw.randrange(1, size))
        return kind
    with path.open("r+b") as file:
        place = draw.randrange(size) if kind == "flip" else 4096 * draw.randrange(size // 4096)
        file.seek(place)
        old = file.read(1 if kind == "flip" else 4096)
        file.seek(place)
        if kind == "flip" and old in (_INPUT, _OUTPUT):
            kind = "payload flip"
        file.write(bytes([old[0] ^ 1 << draw.randrange(8)]) if kind != "zero" else bytes(len(old)))
    return kind


def judge(path: Path) -> str:
    """What becomes of a spoilt store: `refused` at its opening, `ended` at work, `told` where one call fails,
    `found` by the check alone, `unnoticed` where all is right, `wrong` where something else than was put in
    comes out. An error that is not one of ours passes through."""
    try:
        store = SQLiteStore.open(path)
    except StoreError:
        return "refused"
    try:
        verdict = _read(store)
    except (QueueError, ValueError):  # to a caller: an error, and not an answer
        verdict = "ended" if store.health.broken is not None else "told"
    finally:
        store.close()
    if verdict == "right":
        return "found" if _finds(path) else "unnoticed"
    return verdict


def _read(store: SQLiteStore) -> str:
    verdict = "right"
    for n, task in enumerate(store.get([f"t{n}" for n in range(TASKS)])):
        if task is None:
            return "told"  # an id or its index is spoilt: it is unknown, and not another task's
        right = (f"t{n}", "mail", input_of(n), output_of(n) if task.state is State.DONE else None)
        if (task.id, task.type, task.input, task.output) != right:
            verdict = "wrong"
    store.list(ListQuery(states=tuple(State)))
    store.add([new("late")], NOW)
    for taken in store.take(Slot("s", 1, 0), ["mail"], 10, NOW, 60):
        store.finish([Finish(taken.lease, b"\x01")], NOW, 60)
    return verdict


def _finds(path: Path) -> bool:
    try:
        return any(True for _ in check_file(path))
    except StoreError:
        return True


def run(seed: int, tries: int, folder: Path) -> Counter[str]:
    """Spoils so many copies; counts the verdicts by the kind of fault."""
    make(folder / "good.db")
    draw = random.Random(seed)
    verdicts: Counter[str] = Counter()
    for _ in range(tries):
        spoilt = folder / "spoilt" / "queue.db"
        shutil.rmtree(spoilt.parent, ignore_errors=True)
        spoilt.parent.mkdir()
        shutil.copy(folder / "good.db", spoilt)
        kind = spoil(spoilt, draw)
        verdicts[f"{kind} {judge(spoilt)}"] += 1
    return verdicts


if __name__ == "__main__":
    chosen, count = ([int(word) for word in sys.argv[1:]] + [1, 500][len(sys.argv) - 1 :])[:2]
    with tempfile.TemporaryDirectory() as place:
        counted = run(chosen, count, Path(place))
    for what, times in sorted(counted.items()):
        print(f"{what:20} {times:6,}")
