"""Where payload keys come from, and what is said of bad ones before anything is sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qm.client import Client
from qm.client.payload_keys import find_payload_keys, keyring_of
from qm.errors import BadRequest
from qm.sealing import PayloadKeys, new_key
from qm.worker import Worker

OLD, NEW = new_key(), new_key()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QM_PAYLOAD_KEYS", "QM_PAYLOAD_KEYS_FILE", "QM_PAYLOAD_PLAIN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys"
    path.touch(0o600)
    monkeypatch.setenv("QM_PAYLOAD_KEYS_FILE", str(path))
    return path


def test_without_a_word_there_are_none() -> None:
    assert find_payload_keys() == PayloadKeys()
    assert keyring_of(PayloadKeys()) is None


@pytest.mark.parametrize("between", [",", " ", ", ", "\n", " ,\n,"])
def test_the_environment_has_them_newest_first(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", f"{NEW}{between}{OLD}")
    assert find_payload_keys() == PayloadKeys((NEW, OLD))


def test_or_a_file(file: Path) -> None:
    file.write_text(f"{NEW}\n{OLD}\n")
    assert find_payload_keys() == PayloadKeys((NEW, OLD))


def test_what_a_program_says_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QM_PAYLOAD_KEYS", "nonsense")
    assert find_payload_keys([NEW]) == PayloadKeys((NEW,))
    assert find_payload_keys([]) == PayloadKeys()
    assert find_payload_keys(PayloadKeys((NEW,), accept_plain=True)).accept_plain


@pytest.mark.parametrize(("word", "accepts"), [("accept", True), ("refuse", False), ("", False)])
def test_whether_plain_values_are_read_is_said_apart(
    word: str, accepts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_PAYLOAD_PLAIN", word)
    assert find_payload_keys([NEW]).accept_plain is accepts


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("QM_PAYLOAD_KEYS", "nonsense", "payload key 1 of 1 is no Fernet key"),
        ("QM_PAYLOAD_KEYS", f"{NEW},{NEW}", "twice"),
        ("QM_PAYLOAD_PLAIN", "yes", "accept or refuse, not 'yes'"),
        ("QM_PAYLOAD_KEYS_FILE", "/nowhere/keys", "cannot read the payload keys /nowhere/keys"),
    ],
    ids=["nonsense", "twice", "another word", "no file"],
)
def test_clients_and_pools_do_not_start_with_bad_ones(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadRequest, match=words):
        Client(("127.0.0.1", 1), bytes(32))
    with pytest.raises(BadRequest, match=words):
        Worker(address=("127.0.0.1", 1), authkey=bytes(32))


def test_two_places_are_one_too_many(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(NEW)
    monkeypatch.setenv("QM_PAYLOAD_KEYS", NEW)
    with pytest.raises(BadRequest, match="both set"):
        find_payload_keys()


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    file.write_text(NEW)
    file.chmod(0o640)
    with pytest.raises(BadRequest, match="open to other users") as caught:
        find_payload_keys()
    assert caught.value.hint == f"chmod 600 {file}"


def test_an_empty_file_is_a_mistake(file: Path) -> None:
    with pytest.raises(BadRequest, match="no payload key in"):
        find_payload_keys()


def test_one_text_in_place_of_a_list_is_a_mistake() -> None:
    with pytest.raises(BadRequest, match="a list of keys"):
        find_payload_keys(NEW)
