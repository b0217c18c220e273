"""qmworker: what its words mean for the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

import qm.worker
from qm.cli import qmworker
from qm.errors import BadRequest, LoadError
from qm.wire.address import Address
from qm.wire.keys import make_key


class Recorder:
    """Stands for the pool, and notes what it was told."""

    told: ClassVar[dict[str, Any]] = {}
    end: ClassVar[int | Exception] = 0

    def __init__(self, **told: Any) -> None:
        Recorder.told = told

    def run(self) -> int:
        if isinstance(Recorder.end, Exception):
            raise Recorder.end
        return Recorder.end


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(qm.worker, "Worker", Recorder)
    monkeypatch.setattr(Recorder, "told", {})
    monkeypatch.setattr(Recorder, "end", 0)
    return Recorder


@pytest.fixture(autouse=True)
def key(home: Path) -> bytes:
    return make_key(home / "authkey")


def test_without_a_word_it_serves_every_type_with_a_process_per_processor(key: bytes) -> None:
    assert qmworker.main([]) == 0
    assert Recorder.told == {
        "load": [],
        "types": None,
        "processes": None,
        "address": Address("127.0.0.1", 8090),
        "authkey": key,
        "tls": "",
        "delay": 0.0,
        "log_level": "info",
        "log_format": "text",
    }


def test_every_option_reaches_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_LOG_FORMAT", "json")
    words = "--type a --type b --load m.n --load o --processes 3 --delay 1.5 --drain 1m --rpc :1 --tls-ca f"
    qmworker.main([*words.split(), "--log-level", "debug"])
    told = dict(Recorder.told)
    assert told.pop("authkey")
    assert told == {
        "load": ["m.n", "o"],
        "types": ["a", "b"],
        "processes": 3,
        "address": Address("127.0.0.1", 1),
        "delay": 1.5,
        "drain": 60.0,
        "tls": "ca:f",
        "log_level": "debug",
        "log_format": "json",
    }


def test_the_originals_flags_work() -> None:
    qmworker.main(["-type", "encoder", "-type=reverse", "-delay=2", "-rpc", "127.0.0.1:7"])
    assert Recorder.told["types"] == ["encoder", "reverse"]
    assert Recorder.told["delay"] == 2.0
    assert Recorder.told["address"].port == 7


@pytest.mark.parametrize("words", [["-type", "all"], ["--type", "reverse", "--type", "all"]])
def test_all_is_every_type(words: list[str]) -> None:
    qmworker.main(words)
    assert Recorder.told["types"] is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--processes", "many"], "--processes is a whole number, not 'many'"),
        (["--delay", "-1"], "--delay is a time, not '-1'"),
        (["--authkey-file", "missing"], "cannot read the authkey missing"),
        (["--log-format", "xml"], "'xml' is not a log format"),
        (["--bogus"], "these arguments do not fit the usage, at: --bogus"),
    ],
)
def test_what_makes_no_sense_ends_it_in_words(
    words: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert qmworker.main(words) == 2
    assert complaint in capfd.readouterr().err
    assert Recorder.told == {}


@pytest.mark.parametrize(
    ("end", "code"), [(LoadError("module 'm' does not import"), 2), (BadRequest("no processes"), 2)]
)
def test_what_the_pool_cannot_do_is_said(
    end: Exception, code: int, pool: type[Recorder], capfd: pytest.CaptureFixture[str]
) -> None:
    pool.end = end
    assert qmworker.main([]) == code
    assert f"qmworker: {end}\n" in capfd.readouterr().err


def test_without_a_key_and_a_manager_it_says_what_to_start(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QM_HOME", str(home / "empty"))
    monkeypatch.setattr("qm.cli.manager._PATIENCE", 0.0)
    assert qmworker.main(["--rpc", "127.0.0.1:1"]) == 7
    assert capfd.readouterr().err == (
        "qmworker: cannot reach the manager at 127.0.0.1:1 (connection refused)\n"
        'hint: start one with "qmanager", or name another by QM_RPC\n'
    )
