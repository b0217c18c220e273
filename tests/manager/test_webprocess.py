"""Keeping a web process running, with children and a clock of our own; real ones are in tests/live."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
from collections.abc import Iterator

import pytest

from qm.errors import BadRequest
from qm.manager.webprocess import (
    LONGEST_PAUSE,
    READY_SECONDS,
    STEADY_SECONDS,
    STOP_SECONDS,
    WebError,
    WebProcess,
)
from qm.testing import FakeClock
from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebExit
from tests.wants import want

KEY = b"k" * 32
HERE = Address("127.0.0.1", 0)
SERVED = Address("127.0.0.1", 40_001)


class FakeChild:
    """A child that does what the test says."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.says: Address | None = None
        self.nonsense = False
        self.code: int | None = None
        self.ended: list[float] = []
        self._reader, self._writer = os.pipe()
        os.write(self._writer, b"x")  # always readable: a select never waits

    def fileno(self) -> int:
        return self._reader

    def hear(self) -> Address | None:
        if self.nonsense:
            raise BadRequest("the web process says what it should not")
        return self.says

    def exitcode(self) -> int | None:
        return self.code

    def end(self, seconds: float) -> int:
        if not self.ended:
            os.close(self._reader)
            os.close(self._writer)
        self.ended.append(seconds)
        if self.code is None:
            self.code = -15 if seconds else -9
        return self.code


class Stage:
    """A `WebProcess` whose children are fakes: each comes up, unless `script` says otherwise."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.children: list[FakeChild] = []
        self.configs: list[WebConfig] = []
        self.comes_up = True
        self.dies_with: int | None = None
        self.refusal: OSError | None = None
        self.web = WebProcess(
            Address("127.0.0.1", 8090), HERE, KEY, tls="pin:c", clock=self.clock, spawn=self.spawn
        )

    def spawn(self, config: WebConfig) -> FakeChild:
        if self.refusal is not None:
            raise self.refusal
        child = FakeChild(1000 + len(self.children))
        child.says = SERVED if self.comes_up else None
        child.code = self.dies_with
        self.children.append(child)
        self.configs.append(config)
        return child

    def kill(self, code: int = -9) -> None:
        """The child dies, and qmanager notices."""
        self.children[-1].code = code
        self.web.check()

    def pause(self) -> float:
        """Seconds until the next start; lets them pass."""
        seconds = self.web.timeout()
        assert seconds is not None and self.web.fds() == []
        self.clock.advance(seconds - 0.001)
        self.web.check()
        assert self.web.fds() == [], "not before its time"
        self.clock.advance(0.002)
        self.web.check()
        return seconds


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.web.stop()


def test_it_starts_and_tells_where_it_serves(stage: Stage) -> None:
    assert stage.web.start() == SERVED == stage.web.address
    assert stage.web.serves
    assert stage.configs[0].key == KEY
    assert stage.configs[0].tls == "pin:c"
    assert stage.configs[0].parent == os.getpid()


def test_it_starts_beside_a_thousand_connections(stage: Stage) -> None:
    """Pools that come back while it starts take the first descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want(hard == resource.RLIM_INFINITY or hard >= 2000, "2,000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    child = stage.spawn
    far: list[int] = []

    def spawn(config: WebConfig) -> FakeChild:
        made = child(config)
        far.append(fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, 1500))
        made.fileno = lambda: far[0]  # type: ignore[method-assign]
        return made

    stage.web._spawn = spawn
    try:
        assert stage.web.start() == SERVED
    finally:
        os.close(far[0])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_while_it_serves_there_is_nothing_to_do_but_wait(stage: Stage) -> None:
    stage.web.start()
    assert stage.web.timeout() is None
    assert stage.web.fds() == [stage.children[0].fileno()]
    stage.web.check()
    assert len(stage.children) == 1


def test_a_dead_one_is_started_again_at_the_same_port(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.web.start()
    stage.kill()
    assert not stage.web.serves
    assert "the web process 1000 is gone: SIGKILL; starting it again in 1 s" in caplog.text
    assert stage.pause() == pytest.approx(1.0)
    stage.web.check()
    assert stage.web.serves and len(stage.children) == 2
    assert stage.configs[1].http == SERVED
    assert stage.children[0].ended, "its pipes are closed"


def test_the_pause_doubles_up_to_half_a_minute(stage: Stage) -> None:
    stage.web.start()
    pauses = []
    for _ in range(8):
        stage.kill(3)
        pauses.append(round(stage.pause(), 3))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert max(pauses) == LONGEST_PAUSE


def test_after_a_long_good_run_the_pause_is_short_again(stage: Stage) -> None:
    stage.web.start()
    for _ in range(4):
        stage.kill()
        stage.pause()
    stage.web.check()
    stage.clock.advance(STEADY_SECONDS)
    stage.kill()
    assert stage.pause() == pytest.approx(1.0)


def test_a_run_that_never_served_is_no_good_run(stage: Stage) -> None:
    stage.web.start()
    stage.comes_up = False
    stage.kill()
    stage.pause()
    stage.clock.advance(STEADY_SECONDS)
    stage.web.check()
    assert stage.pause() == pytest.approx(2.0)


def test_one_that_hangs_at_its_restart_is_killed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.web.start()
    stage.comes_up = False
    stage.kill()
    stage.pause()
    assert stage.web.timeout() == pytest.approx(READY_SECONDS, abs=0.01)
    stage.web.check()
    assert stage.children[1].ended == []
    stage.clock.advance(READY_SECONDS)
    stage.web.check()
    assert stage.children[1].code == -9
    assert "not ready within 10 s" in caplog.text


def test_one_that_talks_nonsense_is_replaced(stage: Stage) -> None:
    stage.web.start()
    stage.children[0].nonsense = True
    stage.web.check()
    assert stage.children[0].code == -9
    stage.pause()
    assert len(stage.children) == 2


def test_a_restart_that_the_machine_refuses_is_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.web.start()
    stage.kill()
    stage.refusal = BlockingIOError(11, "Resource temporarily unavailable")
    stage.pause()
    assert "cannot be started: Resource temporarily unavailable; starting it again in 2 s" in caplog.text
    stage.refusal = None
    stage.pause()
    stage.web.check()
    assert stage.web.serves


def test_a_taken_port_at_the_first_start_is_an_error_with_advice(stage: Stage) -> None:
    stage.comes_up, stage.dies_with = False, WebExit.CANNOT_LISTEN
    with pytest.raises(WebError, match=r"cannot serve the page on port 0 of 127\.0\.0\.1") as caught:
        stage.web.start()
    assert "--http" in caught.value.hint
    assert (stage.web.fds(), stage.web.timeout()) == ([], None), "and nothing is tried again"
    stage.web.check()
    assert len(stage.children) == 1 and stage.children[0].ended


@pytest.mark.parametrize("code", [1, 2, -11])
def test_a_death_at_the_first_start_is_an_error(stage: Stage, code: int) -> None:
    stage.comes_up, stage.dies_with = False, code
    with pytest.raises(WebError, match="the web process did not start: "):
        stage.web.start()
    assert (stage.web.fds(), stage.web.timeout()) == ([], None)


def test_a_first_start_that_hangs_is_an_error(stage: Stage) -> None:
    stage.comes_up = False
    spawn = stage.web._spawn

    def late(config: WebConfig) -> FakeChild:
        child = spawn(config)
        stage.clock.advance(READY_SECONDS)
        assert isinstance(child, FakeChild)
        return child

    stage.web._spawn = late
    with pytest.raises(WebError, match="not ready within 10 s"):
        stage.web.start()
    assert stage.children[0].code == -9


def test_a_first_start_that_the_machine_refuses_is_an_error(stage: Stage) -> None:
    stage.refusal = FileNotFoundError(2, "No such file or directory")
    with pytest.raises(WebError, match="cannot be started: No such file or directory"):
        stage.web.start()


def test_a_stop_asks_first_and_is_for_good(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.web.start()
    with caplog.at_level(logging.INFO):
        stage.web.stop()
    assert stage.children[0].ended == [STOP_SECONDS]
    assert "the web process 1000 ended (SIGTERM)" in caplog.text
    stage.clock.advance(3600)
    stage.web.check()
    stage.web.stop()
    assert (len(stage.children), stage.web.fds(), stage.web.timeout()) == (1, [], None)


def test_a_stop_between_two_runs_is_for_good_too(stage: Stage) -> None:
    stage.web.start()
    stage.kill()
    stage.web.stop()
    stage.clock.advance(3600)
    stage.web.check()
    assert len(stage.children) == 1


def test_an_interrupted_start_leaves_nothing_running(stage: Stage) -> None:
    def interrupted() -> Address | None:
        raise KeyboardInterrupt

    spawn = stage.web._spawn

    def spawn_interrupted(config: WebConfig) -> FakeChild:
        child = spawn(config)
        assert isinstance(child, FakeChild)
        child.hear = interrupted  # type: ignore[method-assign]
        return child

    stage.web._spawn = spawn_interrupted
    with pytest.raises(KeyboardInterrupt):
        stage.web.start()
    assert stage.children[0].ended == [STOP_SECONDS]
