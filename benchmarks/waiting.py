"""latency, loaded, crowd: from add to result, as somebody sees it who waits for it."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.crew import background
from benchmarks.producing import UNSERVED, in_bulk
from benchmarks.stage import Stage, stage
from benchmarks.timing import milliseconds, seconds
from benchmarks.usage import pss_megabytes, tree
from qm import Client
from qm.ids import new_id
from qm.limits import WAIT_MAX
from qm.messages import Claim, Slot, TypeOptions, WorkerInfo
from qm.wire.address import parse_address
from qm.wire.codec import Request, encode, envelope
from qm.wire.remote import dial
from qm.wire.verbs import QUEUE

_TIMES = 500
_WARM_UP = 50
_CROWD = 1_000
_LOADING = 0.5
_BULK = 5_000


def latency(durability: str) -> dict[str, float]:
    """One task at a time through an idle system."""
    with stage(durability, workers=2) as here, here.client() as client:
        return milliseconds("latency", _round_trips(client))


def loaded(durability: str) -> dict[str, float]:
    """A single add, and one task at a time, beside a producer that adds in bulk without a pause."""
    with (
        stage(durability, workers=2) as here,
        here.client() as client,
        background(lambda: in_bulk(here, UNSERVED, _BULK)),
    ):
        time.sleep(_LOADING)
        adds = [seconds(lambda: client.add(UNSERVED)) for _ in range(_TIMES)]
        trips = _round_trips(client)
    return milliseconds("loaded_add", adds, (50, 99)) | milliseconds("loaded", trips)


def crowd(durability: str) -> dict[str, float]:
    """One task at a time, beside a thousand connected workers that wait for tasks of another type."""
    with stage(durability, workers=2) as here, here.client() as client, _crowd(here, client):
        trips = _round_trips(client)
        memory = pss_megabytes(tree(here.manager))
    return {**milliseconds("crowd", trips, (50, 99)), "crowd_memory": memory}


def _round_trips(client: Client) -> list[float]:
    def once() -> None:
        client.result(client.add("noop"), wait=30)

    return [seconds(once) for _ in range(_WARM_UP + _TIMES)][_WARM_UP:]


@contextmanager
def _crowd(here: Stage, client: Client) -> Iterator[None]:
    """A session of a thousand slots, each with a connection of its own parked in a take. The connections are
    raw: what they cost is the manager's cost, and they are to be gone before their takes end."""
    _allow_files(_CROWD + 200)
    info = WorkerInfo(
        session=new_id(), host="bench", pid=1, processes=_CROWD, types={UNSERVED: TypeOptions()}
    )
    client.attach(info)
    place, key = parse_address(here.address, 0), here.key()
    with ExitStack() as connections:
        for index in range(_CROWD):
            connection = dial(place, key)
            connections.callback(connection.close)
            claim = Claim(slot=Slot(info.session, index, 0), call=1, holding=[], types=[UNSERVED])
            arguments = encode(QUEUE["take"].arguments(claim, WAIT_MAX))
            connection.send_frame(envelope(Request(1, "queue", "take", arguments)), 10.0)
        yield


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
