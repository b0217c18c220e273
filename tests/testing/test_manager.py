"""running_manager: a manager for tests, in this process."""

from __future__ import annotations

import secrets
import threading

import pytest

from qm.client import Client
from qm.errors import BadRequest, StoreError, Unreachable
from qm.limits import KEY_MIN
from qm.store.memory import MemoryStore
from qm.testing import running_manager


def test_it_serves_on_a_free_port_of_this_machine_with_a_key_of_its_own() -> None:
    with running_manager() as first, running_manager() as second:
        assert first.address.is_loopback and first.address.port != second.address.port
        assert len(first.authkey) >= KEY_MIN and first.authkey != second.authkey
        id_ = first.client().add("mail")
        assert first.queue.get([id_]).missing == []
        assert second.queue.get([id_]).missing == [id_]


def test_nothing_of_it_is_left_at_the_end() -> None:
    before = {*threading.enumerate()}
    with running_manager() as manager:
        client = manager.client(patience=0)
        client.status()
    assert {*threading.enumerate()} <= before
    with pytest.raises(Unreachable):
        client.status()
    with pytest.raises(StoreError, match="closed"):
        manager.queue.status()


def test_a_test_that_fails_inside_stops_it_too() -> None:
    before = {*threading.enumerate()}
    with pytest.raises(ZeroDivisionError), running_manager():
        raise ZeroDivisionError
    assert {*threading.enumerate()} <= before


def test_a_store_of_the_caller_outlives_it_so_that_a_restart_can_be_seen() -> None:
    store, key = MemoryStore(), secrets.token_bytes(KEY_MIN)
    with running_manager(store, authkey=key) as first:
        id_ = first.client().add("mail", 1)
    with running_manager(store, address=first.address, authkey=key) as second:
        assert second.address == first.address
        with Client(first.address, key) as client:
            assert client.get(id_).input == 1


def test_an_address_that_is_taken_and_a_key_too_short_are_clear_errors() -> None:
    before = {*threading.enumerate()}
    with running_manager() as manager, pytest.raises(OSError, match="in use"):
        running_manager(address=manager.address).__enter__()
    with pytest.raises(BadRequest, match="at least 32 bytes"):
        running_manager(authkey=b"short").__enter__()
    assert {*threading.enumerate()} <= before
