"""A manager from start to stop, in this process and without its page."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm.cli import qmanager
from qm.cli.serving import Service, open_key, prepare_process
from qm.cli.settings import Settings
from qm.cli.signals import Signals
from qm.client import Client
from qm.errors import BadRequest, QueueError, StoreBusy, Unreachable
from qm.wire.address import Address
from qm.wire.keys import read_key


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(
        rpc=Address("127.0.0.1", 0),
        http=None,
        store=f"sqlite:{home}/queue.db",
        durability="full",
        authkey_file=home / "authkey",
        ready_file=home / "ready",
    )


def with_(settings: Settings, **changes: object) -> Settings:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**fields | changes)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    service.start()
    yield service
    service.stop()


def client(service: Service, settings: Settings) -> Client:
    return Client(service.rpc, read_key(settings.authkey_file), patience=0)


def test_started_it_serves_and_says_where(service: Service, settings: Settings) -> None:
    assert settings.ready_file is not None
    assert settings.ready_file.read_text() == f"rpc {service.rpc}\n"
    with client(service, settings) as c:
        assert c.get(c.add("mail", 1)).input == 1


def test_stopped_it_serves_no_more_and_says_nothing(service: Service, settings: Settings) -> None:
    assert settings.ready_file is not None
    service.stop()
    assert not settings.ready_file.exists()
    with client(service, settings) as c, pytest.raises(Unreachable):
        c.status()
    service.stop()


def test_what_was_added_is_there_after_a_restart(settings: Settings) -> None:
    service = Service(settings)
    service.start()
    with client(service, settings) as c:
        c.add("mail", 1, id="a")
    service.stop()
    again = Service(settings)
    again.start()
    with client(again, settings) as c:
        assert c.get("a").input == 1
    again.stop()


def test_a_call_that_waits_is_answered_when_it_stops(service: Service, settings: Settings) -> None:
    with client(service, settings) as c:
        id_ = c.add("mail", 1)
        answers: list[str] = []
        waiting = threading.Thread(target=lambda: answers.append(c.get(id_, wait=0.01).id))
        waiting.start()
        waiting.join()
        service.stop()
        assert answers == [id_]


def test_a_second_manager_of_the_same_store_is_refused(service: Service, settings: Settings) -> None:
    assert settings.ready_file is not None
    with pytest.raises(StoreBusy, match=rf"another qmanager \(pid {os.getpid()}\) has the store"):
        Service(settings).start()
    assert settings.ready_file.exists(), "the file is the first one's"
    with client(service, settings) as c:
        assert c.status().wait == 0


def test_a_taken_port_is_named_and_the_store_let_go(
    service: Service, settings: Settings, tmp_path: Path
) -> None:
    other = with_(settings, rpc=service.rpc, store=f"sqlite:{tmp_path}/other.db")
    with pytest.raises(
        QueueError, match=f"cannot listen on port {service.rpc.port} of 127.0.0.1: address already"
    ):
        Service(other).start()
    free = Service(with_(other, rpc=Address("127.0.0.1", 0)))
    free.start()
    free.stop()


def test_a_host_that_is_not_ours_is_named(settings: Settings) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(QueueError, match=f"cannot listen on port 1234 of {host}: [a-z ]+"):
            Service(with_(settings, rpc=Address(host, 1234))).start()


def test_a_store_of_another_kind_is_refused_before_anything_serves(settings: Settings) -> None:
    with pytest.raises(BadRequest, match="no store of the kind 'mysql'"):
        Service(with_(settings, store="mysql://somewhere")).start()


def test_a_ready_file_that_cannot_be_written_ends_it(settings: Settings, tmp_path: Path) -> None:
    broken = with_(settings, ready_file=tmp_path / "no such folder" / "ready")
    with pytest.raises(QueueError, match="cannot write the ready file"):
        Service(broken).start()
    again = Service(settings)
    again.start()
    again.stop()


def test_a_ready_file_that_a_killed_manager_left_is_gone_until_it_serves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.ready_file is not None
    settings.ready_file.parent.mkdir()
    settings.ready_file.write_text("rpc 127.0.0.1:1\n")
    there: list[bool] = []
    monkeypatch.setattr(Service, "_serve", lambda *_: there.append(settings.ready_file.exists()))
    service = Service(with_(settings, ready_file=settings.ready_file))
    with pytest.raises(RuntimeError, match="not started"):
        service.start()
    assert there == [False]


def test_the_key_is_made_once_and_kept(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    key = open_key(home / "authkey")
    assert "made a key" in caplog.text
    assert stat.S_IMODE((home / "authkey").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert open_key(home / "authkey") == key
    assert key.decode() not in caplog.text


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    open_key(home / "authkey")
    (home / "authkey").chmod(0o640)
    with pytest.raises(BadRequest, match="is open to other users"):
        open_key(home / "authkey")


def test_a_key_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match=r"cannot (make|read) the authkey [^ ]+: Not a directory"):
        open_key(tmp_path / "file" / "authkey")


def test_a_home_that_others_can_enter_is_warned_about(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(mode=0o755)
    open_key(home / "authkey")
    assert f"{home} is open to other users; chmod 700 {home}" in caplog.text


def test_the_process_is_prepared(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        prepare_process()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        (tmp_path / "new").touch()
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_cannot_be_raised_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    prepare_process()


def test_the_program_serves_until_a_signal(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Service.watch

    def stop_at_once(service: Service, signals: Signals) -> None:
        assert (home / "ready").exists()
        os.kill(os.getpid(), signal.SIGTERM)
        watch(service, signals)

    monkeypatch.setattr(Service, "watch", stop_at_once)
    ready = str(home / "ready")
    assert qmanager.main(["--rpc", ":0", "--http", "off", "--ready-file", ready, "--log-format", "json"]) == 0
    said = capfd.readouterr()
    assert said.out == ""
    assert f"the tasks are in sqlite:{home}/queue.db, durability full" in said.err
    assert '"message": "stopped"' in said.err
    assert not (home / "ready").exists()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--rpc", "0.0.0.0:0"], 2, "qmanager: will not listen on 0.0.0.0:0"),
        (["--rpc", "nonsense:port"], 2, "qmanager: 'nonsense:port' is not an address"),
        (["--log-level", "loud"], 2, "qmanager: 'loud' is not a log level"),
        (["--store", "mysql:x"], 2, "qmanager: there is no store of the kind 'mysql'"),
    ],
)
def test_what_makes_no_sense_ends_the_program_in_words(
    words: list[str], code: int, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert qmanager.main(["--http", "off", *words]) == code
    assert complaint in capfd.readouterr().err


def test_a_file_of_another_program_ends_the_program_with_65(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"This is a text and no database. " * 100)
    assert qmanager.main(["--http", "off", "--rpc", "127.0.0.1:0", "--store", f"sqlite:{path}"]) == 65
    assert f"qmanager: {path} is not an SQLite file\nhint: " in capfd.readouterr().err


def test_a_port_that_another_program_has_ends_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert qmanager.main(["--http", "off", "--rpc", f"127.0.0.1:{port}", "--store", "memory:"]) == 1
    said = capfd.readouterr().err
    assert f"qmanager: cannot listen on port {port} of 127.0.0.1: address already in use\nhint: " in said
