"""The measurements that speak the wire by hand, or wait for a state of the whole system, still work."""

from __future__ import annotations

import http.client
import resource

import pytest

from benchmarks import page, sealing
from benchmarks.crowd import crowd
from benchmarks.waiting import half
from qm.sealing import new_key
from tests.wants import want

pytestmark = pytest.mark.live


def test_idle_workers_stand_beside_a_round_trip() -> None:
    found = crowd("memory", workers=20)
    assert set(found) == {"crowd_p50", "crowd_p99", "crowd_memory"}
    assert all(value > 0 for value in found.values())


def test_page_and_sealing_are_measured_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller than by themselves, but all of it."""
    monkeypatch.setattr("benchmarks.sealing._ROUNDS", 1)
    assert sealing._whole(()) > 0
    assert sealing._whole((new_key(),)) > 0
    with page.page(200, 2) as address:
        connection = http.client.HTTPConnection(*address, timeout=30)
        for path, accept in page._REQUESTS:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (200, True), path
        connection.close()


def test_half_of_what_is_sustained_is_added_meanwhile() -> None:
    found = half("memory")
    assert set(found) == {"half_p50", "half_p95", "half_p99", "half_load"}
    # not half_load: it is measured over a third of a second, and what is added in bulk may fall beside that
    assert 0 < found["half_p50"] <= found["half_p99"]


def test_a_machine_that_forbids_so_many_connections_is_told_of() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want(hard != resource.RLIM_INFINITY, "a limit of descriptors (ulimit -Hn)")
    with pytest.raises(OSError, match="ulimit -Hn"):
        crowd("memory", workers=hard)
