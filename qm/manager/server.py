"""A connection, a thread; calls in, answers out.

The standard library's `multiprocessing.managers.Server` unpickles what peers send, runs what they name, tells
strangers its tracebacks, and stops by killing its own calls. This subclass keeps its shape (registry, objects
by id, a thread per connection) and replaces every step a peer can reach.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections import Counter
from multiprocessing.managers import Server as StandardServer
from operator import attrgetter
from typing import Any, Final

from qm.errors import AuthFailed, BadRequest, Internal, NotAllowed, QueueError
from qm.limits import UNPROVED_MAX
from qm.manager.admission import Admission
from qm.manager.door import Door
from qm.manager.tally import Refusal, Tally
from qm.manager.watcher import WatchedCaller, Watcher
from qm.wire.address import Address
from qm.wire.codec import Reply, Request, decode_request, encode, encode_error, envelope
from qm.wire.frames import Connection, WireError
from qm.wire.listener import Listener
from qm.wire.roles import Key
from qm.wire.verbs import Signature, roles

_log = logging.getLogger(__name__)

#: A refused peer is told nothing, after a random time that also slows down guessing.
_REFUSAL_PAUSE: Final = (0.2, 0.5)

#: Seconds for calls that are under way to be answered when the manager stops.
DRAIN_SECONDS: Final = 10.0


class Server(StandardServer):
    """Serves published objects to peers that know the key. Nothing else can be called."""

    public: list[str] = []  # noqa: RUF012 - the original lets any peer create objects, and shut it down
    fallback_mapping: dict[str, Any] = {}  # noqa: RUF012 - it answers __str__ and #GETVALUE for every object
    listener: Listener
    address: Address

    def __init__(self, registry: Any, address: Any, authkey: bytes, serializer: str) -> None:
        super().__init__(registry, address, authkey, serializer)
        self.id_to_obj = {}
        self.stop_event = threading.Event()
        #: What became of those who knocked.
        self.tally = Tally()
        self._signatures: dict[str, dict[str, Signature]] = {}
        self._admission = Admission.of(bytes(authkey))
        self._watcher = Watcher()
        self._lock = threading.Lock()
        self._unproved: dict[Connection, None] = {}
        #: With what is set when their last call is answered.
        self._proved: dict[Connection, threading.Event] = {}
        #: Whose they are.
        self._holders: dict[Connection, Key] = {}

    def publish(self, ident: str, served: object, signatures: dict[str, Signature]) -> None:
        """Serves an object under a fixed id, with the verbs in `signatures`."""
        self.id_to_obj[ident] = (served, set(signatures), {})
        self._signatures[ident] = signatures

    def admit_by(self, admission: Admission) -> None:
        """From now on peers are measured by `admission`. Connections whose key is not in it any more end."""
        with self._lock:
            self._admission = admission
            gone = [conn for conn, key in self._holders.items() if key not in admission.keys]
        for connection in gone:
            _log.warning("%s is sent away: its key is gone, or is another", connection.peer)
            connection.hang_up()

    def serve_forever(self) -> None:
        """Serves until `stop` is called; returns when every call under way has been answered."""
        self._watcher.start()
        try:
            self.accepter()
            self._drain(time.monotonic() + DRAIN_SECONDS)
        finally:
            self._watcher.stop()

    def stop(self) -> None:
        """Ends `serve_forever`, from any thread."""
        self.stop_event.set()
        self.listener.close()

    def accepter(self) -> None:
        """Takes connections in, each to a thread of its own, until `stop` is called."""
        Door(self.listener, self.handle_request, self._crowd_out, self.tally, self.stop_event).run()

    def handle_request(self, conn: Any) -> None:
        """A connection's whole life."""
        try:
            if self._admit(conn):
                self.serve_client(conn)
        finally:
            with self._lock:
                over = self._proved.pop(conn, None)
                self._holders.pop(conn, None)
            conn.close()
            if over is not None:
                over.set()

    def serve_client(self, conn: Any) -> None:
        """Answers calls until the peer hangs up, or breaks the protocol."""
        caller = WatchedCaller(self._watcher, conn.fileno())
        key = self._holders[conn]
        try:
            while True:
                request = decode_request(conn.recv_frame())
                conn.send_frame(self._answer(request, caller, key))
        except EOFError:
            return
        except (WireError, OSError, MemoryError) as error:
            why = str(error) or type(error).__name__
        # only now: the error held what had come of a frame, and memory may be what is short
        _log.info("connection of %s dropped: %s", conn.peer, why)

    def _crowd_out(self) -> bool:
        """Closes the oldest connection that has proved nothing. Gives whether there was one."""
        with self._lock:
            if not self._unproved:
                return False
            self._send_oldest_away()
            return True

    def _send_oldest_away(self) -> None:
        """The oldest of the host that has most of them, so that a flood from one pushes out none of another.
        Wants the lock, and one that has proved nothing."""
        hosts = Counter(map(_host, self._unproved))
        crowd, _ = hosts.most_common(1)[0]  # among equals the one that was there first
        # threads begin in any order
        oldest = min((conn for conn in self._unproved if _host(conn) == crowd), key=attrgetter("begun"))
        del self._unproved[oldest]  # so that the next one in does not choose it again
        oldest.reset()

    def _admit(self, conn: Connection) -> bool:
        """Whether the peer knows a key. If not, it learns nothing, and not at once."""
        try:
            with self._lock:
                self._unproved[conn] = None
                if len(self._unproved) > UNPROVED_MAX:
                    self._send_oldest_away()
            key = self._admission.admit(conn)
            self.tally.admit()
        except AuthFailed:
            self.tally.refuse(Refusal.KEY, "%s was refused: it does not know the authkey", conn.peer)
            self.stop_event.wait(random.uniform(*_REFUSAL_PAUSE))
            return False
        except (EOFError, WireError, OSError, MemoryError) as error:
            self._count_unproved(conn, error)
            return False
        finally:
            with self._lock:
                self._unproved.pop(conn, None)
        with self._lock:
            if key not in self._admission.keys:  # taken away meanwhile
                return False
            self._proved[conn] = threading.Event()
            self._holders[conn] = key
        _log.debug("%s is %s, with the role %s", conn.peer, key.name, key.role)
        return not self.stop_event.is_set()

    def _count_unproved(self, conn: Connection, error: Exception) -> None:
        if self.stop_event.is_set():  # we have sent it away
            return
        with self._lock:
            stayed = conn in self._unproved
        if stayed:
            text = "%s did not prove that it knows the authkey: %s"
            self.tally.refuse(Refusal.UNPROVED, text, conn.peer, str(error) or type(error).__name__)
        else:
            text = "%s had not proved that it knows the authkey when others came"
            self.tally.refuse(Refusal.CROWDED_OUT, text, conn.peer)

    def _answer(self, request: Request, caller: WatchedCaller, key: Key) -> bytes:
        try:
            return envelope(Reply(request.rid, True, encode(self._call(request, caller, key))))
        except QueueError as error:
            return envelope(Reply(request.rid, False, encode_error(error)))
        except Exception:
            mark = secrets.token_hex(4)
            _log.exception("internal error %s in %.40r of %.40r", mark, request.verb, request.object)
            internal = Internal(f"something went wrong in the manager; its log says more under {mark}")
            return envelope(Reply(request.rid, False, encode_error(internal)))

    def _call(self, request: Request, caller: WatchedCaller, key: Key) -> Any:
        signature = self._signatures.get(request.object, {}).get(request.verb)
        if signature is None:
            raise NotAllowed(f"there is no {request.verb[:40]!r} of {request.object[:40]!r} here")
        allowed = roles(request.object, request.verb)
        if key.role not in allowed:
            raise NotAllowed(
                f"{request.verb} of {request.object} is not for {key.name!r}, whose role is {key.role}",
                hint=f"it needs the role {' or '.join(sorted(allowed))}",
            )
        try:
            arguments = signature.decode_arguments(request.args)
        except WireError as error:
            raise BadRequest(f"{request.verb}: {error}") from None
        method = getattr(self.id_to_obj[request.object][0], request.verb)
        try:
            return method(*arguments, caller=caller) if signature.waits else method(*arguments)
        except OverflowError:  # msgpack goes to 64 bits without a sign, stores have one
            raise BadRequest(f"{request.verb}: a number is out of range") from None

    def _drain(self, deadline: float) -> None:
        """Lets calls under way finish. A peer between calls sees its connection end."""
        with self._lock:
            proved = dict(self._proved)
            for connection in self._unproved:
                connection.reset()
            for connection in proved:
                connection.end_reading()
        for over in proved.values():
            over.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            for connection in self._proved:
                _log.warning("a call was not answered within %g s", DRAIN_SECONDS)
                connection.hang_up()


def _host(connection: Connection) -> str:
    return connection.peer.rpartition(":")[0]
