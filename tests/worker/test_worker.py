"""What a pool refuses before it starts."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from qm.errors import BadRequest
from qm.worker import Worker

KEY = b"k" * 32


@pytest.mark.parametrize(
    "options",
    [
        {"processes": 0},
        {"delay": -1.0},
        {"delay": math.inf},
        {"delay": math.nan},
        {"drain": -1.0},
        {"grace": -1.0},
        {"authkey": b"short"},
        {"address": "nowhere:port"},
    ],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Worker(**{"authkey": KEY, "address": "127.0.0.1:1", **options})


def test_a_worker_runs_in_the_main_thread_only() -> None:
    worker = Worker(authkey=KEY, address="127.0.0.1:1", processes=1)
    said: list[str] = []

    def run() -> None:
        try:
            worker.run()
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert said and "main thread" in said[0]
