"""qmclient where payloads are sealed: with the key it shows them, without it says so."""

from __future__ import annotations

import pytest

from qm.cli import qmclient, qmworker
from qm.client import Client
from qm.messages import Details, Fail
from qm.payload import pack_failure
from qm.sealing import new_key
from qm.task import Failure
from qm.testing import RunningManager
from tests.cli.stage import Call, Hand

KEY = new_key()


@pytest.fixture
def sealing(manager: RunningManager) -> Client:
    return manager.client(payload_keys=[KEY])


@pytest.fixture
def done(sealing: Client) -> str:
    """A task that is done."""
    id_ = sealing.add("reverse", "secret", id="done")
    Hand(sealing, "reverse").finish("terces")
    return id_


@pytest.fixture
def failed(sealing: Client) -> str:
    """A task that failed."""
    id_ = sealing.add("reverse", "secret", id="failed")
    failure = Failure("ValueError", "secret", "Traceback: secret")
    lease = Hand(sealing, "reverse").take()
    sealing.fail_many([Fail(lease, pack_failure(failure), False, details=Details(log="secret"))])
    return id_


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", KEY)


def test_a_new_key_is_printed_without_a_manager(call: Call) -> None:
    one, two = call("payload-key"), call("payload-key")
    assert (one.code, one.err) == (0, "")
    assert one.out != two.out and len(one.out) == 45


def test_a_printed_key_is_one(call: Call, manager: RunningManager) -> None:
    key = call("payload-key").out.strip()
    assert manager.client(payload_keys=[key]).status().wait == 0


@pytest.mark.usefixtures("key")
def test_with_the_key_all_is_as_if_it_were_not_sealed(call: Call, done: str, failed: str) -> None:
    assert call("get", "--id", done) == (0, "terces\n", "")
    assert (
        call("get", "--id", failed).err
        == "qmclient: task failed failed: ValueError: secret (not retryable)\n"
    )
    assert "Traceback: secret" in call("show", failed, "--json").out
    assert call("list", "--json").json[1]["output"] == "terces"


@pytest.mark.usefixtures("key")
def test_what_it_adds_is_sealed(call: Call, manager: RunningManager) -> None:
    assert call("add", "--type", "reverse", "--input", "secret", "--id", "t").code == 0
    assert str(manager.client(payload_keys=()).get("t").input).startswith("sealed (")


def test_without_the_key_there_is_no_result_and_a_hint(call: Call, done: str) -> None:
    said = call("get", "--id", done)
    assert (said.code, said.out) == (1, "")
    problem, hint = said.err.splitlines()
    assert problem.startswith("qmclient: the output of task done is sealed (")
    assert "QM_PAYLOAD_KEYS" in hint


def test_in_json_it_is_said_in_the_value_s_place(call: Call, done: str) -> None:
    said = call("get", "--id", done, "-o", "json")
    assert said.code == 1
    assert said.json["output"] == {
        "size": said.json["output_size"],
        "why": f"sealed ({said.json['output_size']} bytes)",
        "sealed": True,
    }


def test_lists_and_stories_say_what_is_sealed(call: Call, terminal: Call, done: str, failed: str) -> None:
    listed = [line.split("\t") for line in call("list").lines]
    assert all(row[6].startswith("sealed (") for row in listed)
    assert listed[0][8].startswith("Sealed: ") and listed[1][7].startswith("sealed (")
    wanted = {done: ("input     sealed (", "output    sealed ("), failed: ("| sealed (", "Sealed: ")}
    for id_, parts in wanted.items():
        said = terminal("show", id_)
        assert said.code == 0
        assert all(part in said.out for part in parts)
        assert "secret" not in said.out
    assert "sealed (" in terminal("list").out


def test_what_was_moved_is_said_and_nothing_printed(
    call: Call, manager: RunningManager, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", KEY)
    plain = Hand(manager.client(payload_keys=()), "reverse")
    id_ = manager.client(payload_keys=[KEY]).add("reverse", "x")
    plain.finish("forged")
    said = call("get", "--id", done, "--id", id_)
    assert (said.code, said.out) == (1, "done\tterces\n")
    assert "refused: the output of task" in said.err and "not sealed" in said.err


@pytest.mark.parametrize("program", ["qmclient", "qmworker"])
def test_a_bad_key_is_a_wrong_setting(
    program: str, manager: RunningManager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", "nonsense")
    main = qmclient.main if program == "qmclient" else qmworker.main
    assert main(["status"] if program == "qmclient" else []) == 2
    said = capsys.readouterr().err
    assert "payload key 1 of 1 is no Fernet key" in said and "nonsense" not in said
