"""Which store a URL means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qm.errors import BadRequest, StoreError
from qm.store import open_store, without_secrets


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_memory_is_a_store_that_keeps_nothing(url: str) -> None:
    store = open_store(url)
    assert store.kind == "memory"
    store.close()


def test_a_path_is_a_file_from_here_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, path in (
        ("sqlite:queue.db", "queue.db"),
        ("sqlite:a folder/queue.db", "a folder/queue.db"),
        (f"sqlite:{tmp_path}/absolute.db", "absolute.db"),
        (f"sqlite://{tmp_path}/url.db", "url.db"),
        ("sqlite:100%25.db", "100%25.db"),
    ):
        store = open_store(url)
        assert store.kind == "sqlite"
        assert (tmp_path / path).is_file(), url
        store.close()


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell leaves it alone behind a colon."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("sqlite:~/queue.db").close()
    assert (tmp_path / "queue.db").is_file()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("queue.db", "'queue.db' is not a store"),
        ("", "'' is not a store"),
        ("memory:x", "memory: takes no path, not 'x'"),
        ("sqlite:", "sqlite: names no file"),
        ("sqlite:folder/", "sqlite:folder/ names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:a\0b", "names no file"),
        ("sqlite:://memory:", "is not a file"),
        ("sqlite::memory:", "is not a file"),
        ("sqlite://host/path", "sqlite://host/path names a host"),
        ("sqlite://queue.db", "sqlite://queue.db names a host"),
        ("postgresql:queue", "'postgresql:queue' is not a store"),
        ("postgresql://u@h:none/d?no=such", "the store's URL cannot be read"),
        ("mysql://h/d", "there is no store of the kind 'mysql'"),
    ],
)
def test_any_other_is_refused_with_what_there_is(url: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as raised:
        open_store(url)
    assert complaint in str(raised.value)
    assert any(kind in str(raised.value.hint) for kind in ("sqlite:", "memory:", "postgresql:"))


def test_a_mistyped_url_does_not_give_its_password_away() -> None:
    with pytest.raises(BadRequest) as raised:
        open_store("//user:secret@host/db")
    assert "secret" not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot open the store"):
        open_store(f"sqlite:{tmp_path}/file/queue.db")


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qm.store.postgres", None)  # as an import that fails
    with pytest.raises(StoreError, match="wants psycopg") as raised:
        open_store("postgresql://host/database")
    assert "qmanager[postgres]" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:queue.db", "sqlite:queue.db"),
        ("postgresql://u:s@cret@h:1/d", "postgresql://u@h:1/d"),
        (
            "postgresql://u@h/d?password=secret&sslmode=require",
            "postgresql://u@h/d?password=***&sslmode=require",
        ),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_what_is_logged_has_no_password(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
