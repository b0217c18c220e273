"""Real pools and clients that know several managers, one of which dies under them.

Two wires in front of one manager are two addresses of it; two managers with stores of their own stand for a
session that another manager does not know.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.client import Client, new_task
from qm.task import State
from tests.client.wire import Wire
from tests.live.stage import KEY, Manager, Pools, alive, eventually, output_of

pytestmark = pytest.mark.xdist_group("live-failover")


class Front:
    """Two addresses of one manager, each of which can die and come back."""

    def __init__(self, manager: Manager) -> None:
        self._manager = ("127.0.0.1", manager.port)
        self._wires = [self._wire(), self._wire()]
        self.rpc = ",".join(str(wire.address) for wire in self._wires)

    def kill(self, number: int) -> None:
        self._wires[number].close()

    def revive(self, number: int) -> None:
        self._wires[number] = self._wire(self._wires[number].address.port)

    def used(self) -> list[int]:
        """How many bytes were said over each since it lives."""
        return [wire.calls.bytes for wire in self._wires]

    def _wire(self, port: int = 0) -> Wire:
        return Wire(self._manager, port)  # type: ignore[arg-type]

    def close(self) -> None:
        for wire in self._wires:
            wire.close()


@pytest.fixture
def front(manager: Manager) -> Iterator[Front]:
    front = Front(manager)
    yield front
    front.close()


@pytest.fixture
def several(tmp_path: Path, front: Front) -> Iterator[Pools]:
    """Pools that know both addresses."""
    pools = Pools(tmp_path, 0)
    pools.rpc = front.rpc
    yield pools
    pools.stop_all()


def opened(manager: Manager) -> list[str]:
    """The sessions that the manager knows."""
    return [worker.session for worker in manager.queue.status().workers]


def flip(front: Front, times: int, seconds: float) -> None:
    """Kills one and then the other, so that everybody moves each time."""
    for n in range(times):
        front.kill(n % 2)
        time.sleep(seconds)
        front.revive(n % 2)


def test_everything_goes_on_through_the_other_address(manager: Manager, front: Front, several: Pools) -> None:
    """Nothing lost, nothing twice, and the pools keep their sessions."""
    pools = [several.start(processes=2) for _ in range(2)]
    sessions = eventually(lambda: len(found := opened(manager)) == 2 and found)
    with Client(front.rpc, KEY, patience=20.0) as client:
        ids: list[str] = []
        for n in range(8):
            ids += client.add_many(new_task("echo", [n, m]) for m in range(200))
            ids += [client.add("echo", [n, m]) for m in range(200, 220)]
            flip(front, 1 + n % 2, random.uniform(0, 0.3))
        tasks = client.get_many(ids, wait=60)
        assert len({task.id for task in tasks}) == 8 * 220
        assert all(task.state is State.DONE and task.output == task.input for task in tasks)
        assert not any(task.crashes or task.lost or task.failures for task in tasks)
    assert opened(manager) == sessions
    for pool in pools:
        pool.terminate()
        assert "result is dropped" not in output_of(pool)
        assert pool.returncode == 0
    assert opened(manager) == []


def test_a_task_that_runs_does_not_notice(
    manager: Manager, front: Front, several: Pools, client: Client, tmp_path: Path
) -> None:
    """Its session is renewed at the other address long before its term is over."""
    several.start()
    gate, started = tmp_path / "gate", tmp_path / "started"
    id_ = client.add("until", [str(gate), str(started)])
    eventually(started.exists)
    flip(front, 4, 0.5)
    time.sleep(3)  # a session whose connection was lost, and that nobody renews, is over after 2
    gate.touch()
    ended = client.get(id_, wait=20)
    assert (ended.state, ended.attempt) == (State.DONE, 1)
    assert len(started.read_text().split()) == 1


def test_orders_and_reports_find_their_way(
    manager: Manager, front: Front, several: Pools, client: Client, tmp_path: Path
) -> None:
    """A cancel comes with the renewal, and the death of a child is told by the courier."""
    several.start()
    gate, started = tmp_path / "gate", tmp_path / "started"
    id_ = client.add("until", [str(gate), str(started)])
    eventually(started.exists)
    flip(front, 1, 0.2)
    client.cancel(id_)
    assert client.get(id_, wait=20).state is State.CANCELLED
    front.kill(1)
    dead = client.add("exit", 3, attempts=1)
    ended = eventually(lambda: (task := client.get(dead)).crashes and task)
    assert ended.crashes >= 1 and ended.lost == 0
    client.cancel(dead)
    front.revive(1)


#: A pool that draws its manager anew at each renewal, and not every 5 to 10 minutes.
RESTLESS = """
    import sys
    import qm
    from qm.wire import failover

    failover.STAY = (0.0, 0.0)
    if __name__ == "__main__":
        sys.exit(qm.Worker(load=["my_ops"], processes=2).run())
"""


def test_a_pool_that_moves_by_itself_is_not_noticed(
    manager: Manager,
    front: Front,
    several: Pools,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qm.queue.session.SESSION_TERM", 3.0)  # so that it renews each second
    several.write("restless", RESTLESS)
    several.start(script="restless")
    gate, started = tmp_path / "gate", tmp_path / "started"
    long = client.add("until", [str(gate), str(started)])
    eventually(started.exists)
    ids: list[str] = []

    def both_used() -> bool:
        ids.append(client.add("echo", len(ids)))
        assert client.result(ids[-1], wait=20) == len(ids) - 1
        return min(front.used()) > 1000  # more than a probe, in both places

    eventually(both_used, 60)
    gate.touch()
    tasks = [client.get(long, wait=20), *client.get_many(ids, wait=20)]
    assert {(task.state, task.attempt) for task in tasks} == {(State.DONE, 1)}


def test_a_child_follows_its_parent_to_a_manager_that_knows_neither(tmp_path: Path) -> None:
    """The pool attaches there; its children wait for that, and take there."""
    managers = [Manager(tmp_path / f"{name}.db") for name in ("one", "two")]
    pools = Pools(tmp_path, 0)
    pools.rpc = ",".join(f"127.0.0.1:{manager.port}" for manager in managers)
    try:
        pool = pools.start(processes=2)
        eventually(lambda: any(map(opened, managers)))
        at = 0 if opened(managers[0]) else 1
        (session,) = opened(managers[at])
        with Client(("127.0.0.1", managers[at].port), KEY) as client:
            assert client.result(client.add("echo", 1), wait=20) == 1
        managers[at].stop()
        with Client(("127.0.0.1", managers[1 - at].port), KEY) as client:
            ids = client.add_many(new_task("echo", n) for n in range(50))
            assert [task.output for task in client.get_many(ids, wait=20)] == [*range(50)]
            assert opened(managers[1 - at]) == [session]
        managers[at].start()
        pool.terminate()
        assert "the session is open again" in output_of(pool)
        assert opened(managers[1 - at]) == []
    finally:
        pools.stop_all()
        for manager in managers:
            manager.stop()


def test_the_programs_take_several_addresses(manager: Manager, front: Front, tmp_path: Path) -> None:
    key = tmp_path / "authkey"
    key.write_bytes(KEY)
    key.chmod(0o600)
    environment = os.environ | {"QM_HOME": str(tmp_path)}
    worker = subprocess.Popen(
        [sys.executable, "-m", "qm.cli.qmworker", "--processes", "1", "--rpc", front.rpc], env=environment
    )
    try:
        for n in (0, 1, 0):
            front.kill(n)
            said = subprocess.run(
                [
                    *(sys.executable, "-m", "qm.cli.qmclient", "add", "--type", "fibonacci"),
                    *("--input", "15", "--wait", "60", "--rpc", front.rpc),
                ],
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
            )
            assert (said.returncode, said.stdout) == (0, "610\n")
            front.revive(n)
    finally:
        worker.terminate()
        assert worker.wait(20) == 0
    assert not alive(worker.pid)
    front.kill(0)
    front.kill(1)
    said = subprocess.run(
        [sys.executable, "-m", "qm.cli.qmclient", "status", "--rpc", front.rpc],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 7
    for place in front.rpc.split(","):
        assert f"{place} (connection refused)" in said.stderr
