"""The client: one method per verb, over connections that mend themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from qm import environment
from qm.client.gather import Gatherer
from qm.client.patience import Patience
from qm.client.payload_keys import find_payload_keys, keyring_of
from qm.client.producing import Producing
from qm.client.sealed import SealedQueue
from qm.client.working import Working
from qm.sealing import PayloadKeys
from qm.wire.address import Address, Where, addresses_of
from qm.wire.keys import read_key
from qm.wire.remote import Remote

T = TypeVar("T")


class Client(Producing, Working):
    """A manager's verbs as methods.

    >>> with Client() as client:
    ...     id = client.add("fibonacci", 15)
    ...     client.result(id, wait=10)
    610

    Thread-safe, and safe after a fork and after KeyboardInterrupt: threads share one connection but for calls
    that wait, and one on which anything went wrong is dropped. Every call may be said twice without harm, so
    a call whose connection is lost is said again, for `patience` seconds; then it raises `Unreachable`.

    Of several managers of one queue it calls one, drawn at random; another when that one cannot be reached or
    is stopping, at once; and every 5 to 10 minutes it draws anew, so that a fleet stays spread over all.
    """

    def __init__(
        self,
        address: Where | None = None,
        authkey: bytes | None = None,
        *,
        tls: str | None = None,
        patience: float = 5.0,
        payload_keys: Sequence[str] | PayloadKeys | None = None,
        follow: Callable[[], int] | None = None,
    ) -> None:
        """`address`: ``host:port``, or several by commas or as a list, of managers of one queue (default:
        QM_RPC, else 127.0.0.1:8090). `authkey`: at least 32 bytes (default: the key file, QM_AUTHKEY_FILE or
        QM_HOME/authkey). `tls`: how to know a manager that speaks TLS, by its certificate's fingerprint
        (``sha256:HEX``, several by commas), the certificate itself (``pin:FILE``) or a CA (``ca:FILE``); ""
        without TLS (default: QM_TLS_FINGERPRINT, QM_TLS_CA or QM_TLS). `payload_keys`: what inputs and
        outputs are sealed with, newest first (default: QM_PAYLOAD_KEYS or QM_PAYLOAD_KEYS_FILE, else nothing
        is sealed; see docs/encryption.md). `follow`: for a worker's processes, which must call the manager to
        which their session is attached: gives its place among the addresses, `place` of the client that
        renews; this client then never chooses. Connects at the first call.

        Raises `BadRequest` for a bad address, key or `tls`.
        """
        if address is None or address == "":
            address = environment.rpc()
        #: Where managers are, each address once.
        self.addresses: tuple[Address, ...] = addresses_of(address, environment.RPC_PORT)
        if authkey is None:
            authkey = read_key(environment.authkey_file())
        first, *others = self.addresses
        known_by = environment.tls() if tls is None else tls
        self._remote = Remote(first, authkey, known_by, others=others, which=follow)
        keyring = keyring_of(find_payload_keys(payload_keys))
        queue = self._remote.queue()
        self._queue = queue if keyring is None else SealedQueue(queue, keyring)
        self._patience = Patience(patience)
        self._unserved = set()
        self._gatherer = Gatherer(self._add_frame)
        self._calls = itertools.count(1)

    @property
    def address(self) -> Address:
        """The manager that is called now."""
        return self._remote.called

    @property
    def place(self) -> int:
        """Its place in `addresses`."""
        return self._remote.place

    def when_moved(self, tell: Callable[[int], object]) -> None:
        """From now on `tell` hears the `place` of each other manager that the client goes to, in the middle
        of the call that moves it: for those who `follow`."""
        self._remote.when_moved(tell)

    def be_patient(self, seconds: float) -> None:
        """From now on the client's `patience` is another."""
        self._patience.seconds = seconds

    def close(self) -> None:
        """Closes the connections, and ends the waiting of calls under way for a manager that is away."""
        self._patience.close()
        self._remote.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _patiently(self, once: Callable[[], T]) -> T:
        return self._patience.call(once)
