"""Servers, each for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qm.manager import Server
from qm.manager import server as server_module
from qm.wire.remote import Channels
from tests.manager.serving import Echo, Managed, echo_server, managed, serving
from tests.wire.peers import KEY


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused peer need not be held up here."""
    monkeypatch.setattr(server_module, "_REFUSAL_PAUSE", (0.0, 0.0))


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.let_go.set()


@pytest.fixture
def server(echo: Echo) -> Iterator[Server]:
    """A running server of the object `echo`."""
    with serving(echo_server(echo)) as server:
        yield server


@pytest.fixture
def channels(server: Server) -> Iterator[Channels]:
    """A client's connections to `server`."""
    channels = Channels(server.address, KEY)
    yield channels
    channels.close()


@pytest.fixture
def manager() -> Iterator[Managed]:
    """A running manager over a store in memory."""
    with managed() as manager:
        yield manager
