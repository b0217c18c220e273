"""A manager from start to stop, in this process and without its page."""

from __future__ import annotations

import errno
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
from qm.cli.arguments import Arguments
from qm.cli.commands.tls import init
from qm.cli.serving import Service, prepare_process
from qm.cli.settings import Settings, TLSFiles
from qm.cli.signals import Signals
from qm.client import Client
from qm.errors import AuthFailed, BadRequest, Internal, QueueError, StoreBusy, Unreachable
from qm.manager import Server
from qm.wire.address import Address
from qm.wire.keyfile import add_key, remove_key
from qm.wire.keys import read_key
from qm.wire.roles import Role


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


def test_a_step_of_the_end_that_fails_keeps_none_of_the_others(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.ready_file is not None and service._queue is not None

    def fail() -> None:
        raise RuntimeError("cannot drain")

    with monkeypatch.context() as broken:
        broken.setattr(service._queue, "drain", fail)
        with pytest.raises(RuntimeError, match="cannot drain"):
            service.stop()
    assert not settings.ready_file.exists()
    with client(service, settings) as c, pytest.raises(Unreachable):
        c.status()
    service._queue.drain()  # its timer, which this test kept running


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


def test_keys_are_read_again_while_it_serves(service: Service, settings: Settings) -> None:
    """Rotation without a restart: add the new key, tell the manager, move the clients, remove the old one."""
    with client(service, settings) as old:
        old.status()
        added = add_key(settings.authkey_file, "web1", Role.OPERATOR)
        service.read_again()
        with Client(service.rpc, added.secret, patience=0) as new:
            new.status()
            old.status()
            remove_key(settings.authkey_file, "default")
            service.read_again()
            with pytest.raises((Unreachable, AuthFailed)):
                old.status()
            with pytest.raises(AuthFailed):
                old.status()
            new.status()


@pytest.mark.parametrize("spoil", ["gone", "empty", "open", "nonsense"])
def test_a_file_of_keys_that_is_no_good_changes_nothing(
    service: Service, settings: Settings, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = settings.authkey_file
    with client(service, settings) as c:
        c.status()
        match spoil:
            case "gone":
                path.unlink()
            case "empty":
                path.write_text("")
            case "open":
                path.chmod(0o644)
            case "nonsense":
                path.write_text("a b c d\n")
        service.read_again()
        c.status()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("keys and certificate stay as they were: ")


def test_a_hangup_reads_again_and_a_stop_stops(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[None] = []

    def read_again(_: Service) -> None:
        read.append(None)
        os.kill(os.getpid(), signal.SIGHUP if len(read) < 3 else signal.SIGTERM)

    monkeypatch.setattr(Service, "read_again", read_again)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        service.watch(signals)
        assert signals.received is signal.SIGTERM
    assert len(read) == 3


def test_a_server_that_ends_by_itself_ends_the_manager(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would hold the store, and answer nobody."""

    def fail(server: Server) -> None:
        raise OSError(errno.EINVAL, "no such luck")

    monkeypatch.setattr(Server, "accepter", fail)
    service = Service(settings)
    service.start()
    with Signals() as signals, pytest.raises(Internal, match="cannot answer calls any more: OSError"):
        service.watch(signals)
    service.stop()
    assert "the server failed" in caplog.text


def test_a_renewed_certificate_is_taken_while_it_serves(settings: Settings, home: Path) -> None:
    init(Arguments({}))
    service = Service(with_(settings, tls=TLSFiles(home / "tls.crt", home / "tls.key")))
    service.start()
    try:
        key, pin = read_key(settings.authkey_file), f"pin:{home}/tls.crt"
        with Client(service.rpc, key, tls=pin, patience=0) as early:
            early.status()
            init(Arguments({"--force": True}))
            with Client(service.rpc, key, tls=pin, patience=0) as late, pytest.raises(AuthFailed):
                late.status()
            service.read_again()
            with Client(service.rpc, key, tls=pin, patience=0) as late:
                late.status()
            early.status()
            (home / "tls.crt").write_text("nonsense")
            service.read_again()
            early.status()
    finally:
        service.stop()


def test_without_its_certificate_a_manager_with_tls_does_not_start(settings: Settings, home: Path) -> None:
    """And never falls back to none."""
    with pytest.raises(BadRequest, match="cannot read the certificate"):
        Service(with_(settings, tls=TLSFiles(home / "tls.crt", home / "tls.key"))).start()


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
