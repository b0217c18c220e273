"""What qmanager is told: flag before environment before built-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from qm.cli.arguments import Arguments
from qm.cli.settings import Settings, TLSFiles
from qm.errors import BadRequest
from qm.wire.address import Address


def settings(**flags: object) -> Settings:
    return Settings.of(Arguments({f"--{name.replace('_', '-')}": value for name, value in flags.items()}))


def test_without_a_word_everything_is_at_home_and_for_this_machine_alone(home: Path) -> None:
    assert settings() == Settings(
        rpc=Address("127.0.0.1", 8090),
        http=Address("127.0.0.1", 8080),
        store=f"sqlite:{home}/queue.db",
        durability="full",
        authkey_file=home / "authkey",
        ready_file=None,
        log_level="info",
        log_format="text",
    )


FLAGS = {
    "rpc": "127.0.0.1:1",
    "http": "localhost:2",
    "store": "memory:",
    "durability": "relaxed",
    "authkey_file": "a",
    "log_level": "debug",
    "log_format": "json",
}

ENVIRONMENT = {
    "QM_RPC": "127.0.0.1:3",
    "QM_HTTP": "[::1]:4",
    "QM_STORE": "sqlite:b.db",
    "QM_DURABILITY": "relaxed",
    "QM_AUTHKEY_FILE": "b",
    "QM_LOG_LEVEL": "warning",
    "QM_LOG_FORMAT": "json",
}


def test_the_environment_goes_before_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert settings() == Settings(
        rpc=Address("127.0.0.1", 3),
        http=Address("::1", 4),
        store="sqlite:b.db",
        durability="relaxed",
        authkey_file=Path("b"),
        log_level="warning",
        log_format="json",
    )


def test_a_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert settings(**FLAGS, ready_file="r") == Settings(
        rpc=Address("127.0.0.1", 1),
        http=Address("localhost", 2),
        store="memory:",
        durability="relaxed",
        authkey_file=Path("a"),
        ready_file=Path("r"),
        log_level="debug",
        log_format="json",
    )


@pytest.mark.parametrize("word", ["off", "none", "OFF"])
def test_the_page_can_be_left_out(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(http=word).http is None
    monkeypatch.setenv("QM_HTTP", word)
    assert settings().http is None


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.com"])
@pytest.mark.parametrize("flag", ["rpc", "http"])
def test_an_address_that_others_can_reach_is_refused_with_the_reason(host: str, flag: str) -> None:
    with pytest.raises(BadRequest, match="without TLS, everybody on the way can read and change") as raised:
        settings(**{flag: f"{host}:1234"})
    assert f"--{flag} 127.0.0.1:1234, or --insecure-bind" in str(raised.value.hint)
    asked = settings(**{flag: f"{host}:1234", "insecure_bind": True})
    assert getattr(asked, flag) == Address(host.strip("[]"), 1234)


def test_with_tls_others_may_reach_the_manager_and_not_the_page(home: Path) -> None:
    told = settings(rpc="0.0.0.0:1234", tls=True)
    assert told.rpc == Address("0.0.0.0", 1234)
    assert told.tls == TLSFiles(home / "tls.crt", home / "tls.key")
    with pytest.raises(BadRequest, match=r"will not listen on 0\.0\.0\.0:80"):
        settings(http="0.0.0.0:80", tls=True)


def test_without_tls_the_hint_says_how_to_get_it() -> None:
    with pytest.raises(BadRequest) as caught:
        settings(rpc="0.0.0.0:1")
    assert "qmanager tls init, then --tls" in str(caught.value.hint)


def test_the_environment_can_turn_tls_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_TLS", "on")
    assert settings(rpc="0.0.0.0:1").tls == TLSFiles(home / "tls.crt", home / "tls.key")
    monkeypatch.setenv("QM_TLS", "off")
    assert settings().tls is None
    monkeypatch.setenv("QM_TLS", "1")
    with pytest.raises(BadRequest, match="QM_TLS is on or off, not '1'"):
        settings()


def test_another_certificate_turns_tls_on_too() -> None:
    assert settings(tls_cert="a", tls_key="b").tls == TLSFiles(Path("a"), Path("b"))
    for half in ({"tls_cert": "a"}, {"tls_key": "b"}):
        with pytest.raises(BadRequest, match="--tls-cert and --tls-key go together"):
            settings(**half)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", ""])
def test_this_machines_own_addresses_are_not(host: str) -> None:
    assert settings(rpc=f"{host}:1234").rpc.port == 1234


def test_the_environment_cannot_open_an_address_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_RPC", "0.0.0.0:1234")
    with pytest.raises(BadRequest, match=r"will not listen on 0\.0\.0\.0:1234"):
        settings()


def test_another_durability_is_refused() -> None:
    with pytest.raises(BadRequest, match="--durability is full or relaxed, not 'some'"):
        settings(durability="some")


def test_a_manager_has_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_RPC", "a:8090,b:8090")  # as clients and workers of this host read it
    with pytest.raises(BadRequest, match="listens at one address, not at 'a:8090,b:8090'") as caught:
        settings()
    assert caught.value.hint and "its own --rpc" in caught.value.hint


def test_the_page_has_no_further_name_and_shows_tasks_to_nobody_else(home: Path) -> None:
    assert (settings().hosts, settings().show_payloads) == ((), False)


def test_names_of_the_page_are_given_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(hosts="tasks.example.org, queue").hosts == ("tasks.example.org", "queue")
    monkeypatch.setenv("QM_HOSTS", "one,two,")
    assert settings().hosts == ("one", "two")
    assert settings(hosts="three").hosts == ("three",)


@pytest.mark.parametrize("hosts", ["http://a", "a:8080", "a b", "*", "a,<b>", "ü"])
def test_what_cannot_be_a_name_of_the_page_is_refused(hosts: str) -> None:
    with pytest.raises(BadRequest, match="--hosts has names as"):
        settings(hosts=hosts)


@pytest.mark.parametrize(
    ("word", "shown"), [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("0", False)]
)
def test_tasks_are_shown_to_others_where_somebody_said_so(
    word: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings(show_payloads=True).show_payloads
    monkeypatch.setenv("QM_SHOW_PAYLOADS", word)
    assert settings().show_payloads is shown


def test_a_word_that_is_neither_yes_nor_no_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_SHOW_PAYLOADS", "perhaps")
    with pytest.raises(BadRequest, match="QM_SHOW_PAYLOADS is yes or no, not 'perhaps'"):
        settings()
