"""Results that are made to go wrong, from a real pool: each fails its task in words, and costs no process."""

from __future__ import annotations

import pytest

from qm.client import Client, new_task
from qm.sealing import new_key
from qm.task import State
from tests.live.stage import KEY, Manager, Pools

pytestmark = pytest.mark.xdist_group("live-pool")

OPERATIONS = """
    import os, sys, threading
    from datetime import datetime, tzinfo
    from qm import Operations

    ops = Operations()

    class Speechless(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    class Ending(BaseException):
        pass

    class BrokenZone(tzinfo):
        def utcoffset(self, moment):
            raise SystemExit(3)

    def raising(error):
        raise error

    def cycle():
        loop = []
        loop.append(loop)
        return loop

    def nested():
        value = []
        for _ in range(10_000):
            value = [value]
        return value

    RESULTS = {
        "an object": object,
        "a function": lambda: raising,
        "a generator": lambda: (n for n in range(3)),
        "a lock": threading.Lock,
        "a surrogate": lambda: "\\ud800",
        "a cycle": cycle,
        "nested": nested,
        "too large": lambda: b"x" * (1 << 20),
        "a broken time zone": lambda: datetime(2020, 1, 1, tzinfo=BrokenZone()),
        "no words": lambda: raising(Speechless()),
        "a base exception": lambda: raising(Ending("the end")),
        "an exit": lambda: sys.exit("no more"),
        "an interrupt": lambda: raising(KeyboardInterrupt()),
        "the end of a generator": lambda: raising(GeneratorExit()),
        "a group": lambda: raising(BaseExceptionGroup("many", [Ending(), Speechless()])),
        "a surrogate's error": lambda: raising(ValueError("\\ud800")),
        "a long error": lambda: raising(ValueError("x" * 10**7)),
    }

    @ops.operation("make")
    def make(name):
        return RESULTS[name]()

    @ops.operation("pid")
    def pid(value):
        return os.getpid()
"""

#: What the failure of each must say.
WORDS = {
    "an object": "object",
    "a function": "function",
    "a generator": "generator",
    "a lock": "lock",
    "a surrogate": "surrogates",
    "a cycle": "contains itself",
    "nested": "nested too deeply",
    "too large": "the limit is 1,048,576",
    "a broken time zone": "SystemExit",
    "no words": "cannot be shown",
    "a base exception": "the end",
    "an exit": "no more",
    "an interrupt": "KeyboardInterrupt",
    "the end of a generator": "GeneratorExit",
    "a group": "many",
    "a surrogate's error": "\\ud800",
    "a long error": "xxx",
}


@pytest.mark.parametrize("keys", [(), (new_key(),)], ids=["plain", "sealed"])
def test_a_bad_result_fails_its_task_in_words_and_costs_no_process(
    manager: Manager, pools: Pools, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", ",".join(keys))
    pools.write("my_ops", OPERATIONS)
    pools.start(processes=1)
    with Client(("127.0.0.1", manager.port), KEY, payload_keys=keys) as client:
        first = client.result(client.add("pid"), wait=20)
        ids = client.add_many(new_task("make", name, attempts=1) for name in WORDS)
        for name, task in zip(WORDS, client.get_many(ids, wait=30), strict=True):
            assert (task.state, task.crashes, task.attempt) == (State.FAILED, 0, 1), name
            assert WORDS[name] in str(task.error), (name, str(task.error)[:200])
        assert client.result(client.add("pid"), wait=20) == first, "the same process works on"
