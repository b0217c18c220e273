"""A child as its parent sees it."""

from __future__ import annotations

import gc
import os
import resource
from multiprocessing import get_context

import pytest

from qm.messages import Slot
from qm.worker.config import ChildConfig
from qm.worker.member import Member


def descriptors() -> set[int]:
    """Those that are open, but for that of the look itself."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


@pytest.mark.parametrize("free", range(7))
def test_a_child_that_could_not_be_started_leaves_no_descriptor_behind(free: int) -> None:
    """A pool without descriptors tries again every half a second: it must not lose more of them each time."""
    config = ChildConfig(
        load=(), types=None, addresses=(), authkey=b"", tls="", delay=0, log_level="info", log_format="text"
    )
    context = get_context("spawn")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    gc.collect()
    before = descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 20, hard))
    try:
        while True:
            fillers.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(free):
            os.close(fillers.pop())
    try:
        with pytest.raises(OSError):
            Member(context, config, Slot("pool", 0, 0))
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    gc.collect()
    assert descriptors() <= before
