"""Proxies: static, by fixed ids, and they call what they are told to call and nothing else."""

from __future__ import annotations

import copy
import math
import pickle
from multiprocessing import managers
from typing import Any, cast

import msgspec
import pytest

from qm.errors import BadRequest, QueueError, Unreachable
from qm.limits import WAIT_MAX
from qm.messages import Got
from qm.wire.address import Address
from qm.wire.codec import encode
from qm.wire.remote import CALL_TIMEOUT, SERIALIZER, Channels, Proxy, QueueProxy, Remote, ViewProxy
from qm.wire.verbs import OBJECTS, QUEUE, VIEW
from tests.wire.peers import KEY

NOBODY = ("127.0.0.1", 1)


class Recorder:
    """In the place of connections: notes the calls, and gives one answer to all."""

    address = Address(*NOBODY)

    def __init__(self, answer: Any = None) -> None:
        self.answer = encode(answer)
        self.calls: list[tuple[str, str, Any]] = []
        self.timeout = math.nan
        self.waits = False

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
        self.calls.append((target, verb, msgspec.msgpack.decode(args)))
        self.timeout = timeout
        self.waits = waits
        return self.answer


def queue(recorder: Recorder) -> Any:
    return QueueProxy(cast(Channels, recorder), "queue")


def view(recorder: Recorder) -> Any:
    return ViewProxy(cast(Channels, recorder), "done")


@pytest.fixture
def remote() -> Remote:
    return Remote(NOBODY, KEY)


@pytest.fixture
def nothing_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library's makers of proxies, and with them its exec of what a server sends, are out."""

    def forbidden(*args: object, **kwds: object) -> None:
        raise AssertionError("a class was made from what a server says")

    for name in ("AutoProxy", "MakeProxyType", "dispatch"):
        monkeypatch.setattr(managers, name, forbidden)
    monkeypatch.setattr(managers.BaseManager, "_create", forbidden)


def test_proxies_are_static(remote: Remote, nothing_made: None) -> None:
    """Row 2: a stock proxy asks the server for method names and runs exec on the answer."""
    for name in OBJECTS:
        proxy = remote.proxy(name)
        assert type(proxy) is (QueueProxy if name == "queue" else ViewProxy)
    recorder = Recorder(Got([], [], []))
    view(recorder).get(["a"])
    queue(recorder).get(["a"])
    assert [call[:2] for call in recorder.calls] == [("done", "get"), ("queue", "get")]


@pytest.mark.parametrize(("cls", "verbs"), [(QueueProxy, QUEUE), (ViewProxy, VIEW)])
def test_a_proxy_has_the_exposed_verbs_and_no_others(cls: type[Proxy], verbs: dict[str, Any]) -> None:
    """Row 2."""
    assert {name for name in dir(cls) if not name.startswith("_")} == set(verbs)
    assert cls._exposed_ == tuple(verbs)  # type: ignore[attr-defined]


def test_every_registered_object_says_what_it_exposes() -> None:
    """Row 2: where nothing is said the standard library asks the server. Row 15: none is made on demand."""
    registry = Remote._registry  # type: ignore[attr-defined]
    assert set(registry) == set(OBJECTS)
    for name, (make, exposed, made_by_methods, proxytype) in registry.items():
        assert make is None and not made_by_methods
        assert exposed == tuple(OBJECTS[name])
        assert issubclass(proxytype, Proxy)


def test_nothing_is_counted_on_the_server(remote: Remote) -> None:
    """Row 16: ids are fixed and nothing is dialled, neither to make a proxy nor to let it go."""
    for name in OBJECTS:
        proxy: Any = remote.proxy(name)
        assert (proxy._token.typeid, proxy._token.id) == (name, name)
        copies = [remote.proxy(name) for _ in range(3)]
        del proxy, copies


def test_a_proxy_does_not_travel(remote: Remote) -> None:
    """It would take a key along, or need one that the other process has by accident."""
    with pytest.raises(TypeError, match="give the other one the address and the key"):
        pickle.dumps(remote.queue())


def test_a_remote_starts_no_process(remote: Remote) -> None:
    """Rows 28 and 32."""
    with pytest.raises(TypeError, match=r"get_server\(\)\.serve_forever\(\)"):
        remote.start()
    with pytest.raises(TypeError), remote:
        pass


def test_the_standard_library_knows_our_pair_by_its_name() -> None:
    """Row 1: the seam that keeps its pickling connections out."""
    listener, client = managers.listener_client[SERIALIZER]  # type: ignore[attr-defined]
    assert listener.__module__ == "qm.wire.listener"
    assert client.__module__ == "qm.wire.channels"


def test_arguments_are_bound_as_a_functions_are() -> None:
    """Also one by its name behind one that is left out: dropped, `type` would be a list of everything."""
    recorder = Recorder({"tasks": [], "next": None})
    view(recorder).list(type="mail")
    view(recorder).list(5, type="mail")
    view(recorder).list()
    assert [args for _, _, args in recorder.calls] == [
        [50, None, "mail"],
        [5, None, "mail"],
        [50, None, None],
    ]


def test_a_wrong_argument_is_a_type_error_and_is_not_sent() -> None:
    recorder = Recorder()
    for call in (
        lambda: queue(recorder).get(),
        lambda: queue(recorder).get(["a"], timeout=5),
        lambda: queue(recorder).get(["a"], 1, 2),
        lambda: view(recorder).count("x"),
    ):
        with pytest.raises(TypeError):
            call()
    assert recorder.calls == []


@pytest.mark.parametrize(
    "value", [object(), 2**70, "\ud800", [object()]], ids=["object", "large", "surrogate", "inside"]
)
def test_a_value_that_cannot_travel_is_a_bad_request_and_is_not_sent(value: object) -> None:
    recorder = Recorder()
    with pytest.raises(BadRequest, match=r"^get: "):
        queue(recorder).get([value])
    assert recorder.calls == []


@pytest.mark.parametrize(
    ("wait", "timeout"),
    [
        (0, CALL_TIMEOUT),
        (5, CALL_TIMEOUT + 5),
        (-100, CALL_TIMEOUT),
        (WAIT_MAX, CALL_TIMEOUT + WAIT_MAX),
        (1e9, CALL_TIMEOUT + WAIT_MAX),
        (math.inf, CALL_TIMEOUT + WAIT_MAX),
        (-math.inf, CALL_TIMEOUT),
        (math.nan, CALL_TIMEOUT + WAIT_MAX),
    ],
)
def test_every_call_has_a_deadline_whatever_it_waits_for(wait: float, timeout: float) -> None:
    """Row 20."""
    recorder = Recorder(Got([], [], []))
    queue(recorder).get(["a"], wait)
    assert recorder.timeout == timeout
    queue(recorder).get(["a"], wait=wait)
    assert recorder.timeout == timeout
    assert recorder.waits or wait == 0 or timeout == CALL_TIMEOUT, "it would hold up others"


def test_a_call_that_cannot_wait_has_the_plain_deadline() -> None:
    """Row 20."""
    recorder = Recorder(0)
    assert view(recorder).count() == 0
    queue(Recorder(Got([], [], []))).get(["a"])
    assert recorder.timeout == CALL_TIMEOUT and not recorder.waits


def test_an_answer_of_another_version_is_a_clear_error() -> None:
    with pytest.raises(QueueError, match="count: cannot read the manager's answer") as caught:
        view(Recorder("seven")).count()
    assert caught.value.hint == "it may be of another version"


def test_no_manager_there_says_where_and_what_to_do(remote: Remote) -> None:
    """Row 20: within seconds."""
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 \(connection refused\)") as caught:
        remote.connect()
    assert caught.value.hint and '"qmanager"' in caught.value.hint


def test_a_name_that_nobody_has_is_a_clear_error() -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.invalid:8090"):
        Remote(("nowhere.invalid", 8090), KEY).connect()


def test_a_proxy_is_shown_without_a_call() -> None:
    """Row 14: the standard library's asks the server for the repr of its object."""
    recorder = Recorder()
    shown = str(queue(recorder))
    assert "QueueProxy" in shown and "failed" not in shown
    assert recorder.calls == []


def test_a_proxy_gives_no_copy_of_what_it_stands_for() -> None:
    """Row 14: the standard library's copy fetches the object itself by #GETVALUE."""
    recorder = Recorder()
    with pytest.raises(KeyError):
        copy.deepcopy(queue(recorder))
    assert recorder.calls == []


def test_an_address_is_checked_before_it_is_used() -> None:
    with pytest.raises(BadRequest):
        Remote(("127.0.0.1", 8090), b"short")
