"""Messages over a socket: four bytes of length, big-endian, then as many bytes.

The length is checked before anything is read into memory, the buffer grows only with what arrives, and a
frame that has begun must be complete within a deadline: a peer can neither claim gigabytes nor hold a thread
by sending a byte now and then. After any error the connection is out of step and must be closed.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from typing import Final, Protocol, overload

from qm.limits import FRAME_MAX

_LENGTH: Final = struct.Struct("!I")

#: One recv takes most frames whole.
_CHUNK: Final = 65536

#: Seconds from a frame's first byte to its last where nothing else bounds it, in both directions: 4 MiB over
#: a slow line.
FRAME_DEADLINE: Final = 30.0

#: What the system's buffers take in one part or a few, each of which the socket's own timeout ends (see
#: `qm.wire.address.tune`). A larger frame would begin that anew many times; to bound it costs system calls.
_BOUNDED_BY_SOCKET: Final = 65536

#: How a TLS record begins that comes first: a greeting or an alert, of any version. No frame is so large.
_TLS_RECORDS: Final = frozenset({0x1603, 0x1503})

#: Makes a close a reset instead of an orderly end.
_RESET: Final = struct.pack("ii", 1, 0)


class WireError(Exception):
    """The peer does not speak our protocol: too large, cut off, not what was agreed."""


class SpeaksTLS(WireError):
    """The peer speaks TLS, and we do not."""


class Stream(Protocol):
    """What a connection needs of a socket; `qm.wire.tls` has one that does the same over TLS."""

    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def gettimeout(self) -> float | None: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    @overload
    def getsockopt(self, level: int, name: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...
    def setsockopt(self, level: int, name: int, value: bytes, /) -> None: ...
    def fileno(self) -> int: ...
    def dup(self) -> Stream: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class Connection:
    """One end of a connection. Used by one thread at a time, but for `hang_up`, `end_reading` and `reset`."""

    def __init__(self, sock: Stream, peer: str = "") -> None:
        self.sock = sock
        #: Who is at the other end, for logs.
        self.peer = peer
        #: Since when, on the monotonic clock.
        self.begun: Final = time.monotonic()
        self._rest: bytes | bytearray = b""
        self._timeout: float | None = sock.gettimeout()

    def fileno(self) -> int:
        """The socket's descriptor, for polling."""
        return self.sock.fileno()

    def continue_over(self, sock: Stream) -> None:
        """From now on over `sock`, which has taken the former one over. Before the first frame only."""
        self.sock = sock
        self._timeout = sock.gettimeout()

    def send_frame(self, frame: bytes, timeout: float | None = None) -> None:
        """Sends one frame within `timeout` seconds (None: half a minute). Raises OSError."""
        if timeout is None and len(frame) > _BOUNDED_BY_SOCKET:
            timeout = FRAME_DEADLINE
        self._set_timeout(timeout)
        self.sock.sendall(_LENGTH.pack(len(frame)) + frame)

    def announce(self, size: int) -> None:
        """Sends the length of a frame that is not known yet; the next call is `send_announced`. Raises
        OSError."""
        self.sock.sendall(_LENGTH.pack(size))

    def send_announced(self, frame: bytes) -> None:
        """Sends the frame whose length has been said. Raises OSError."""
        self.sock.sendall(frame)

    def recv_frame(self, timeout: float | None = None, limit: int = FRAME_MAX) -> memoryview:
        """The next frame, whole within `timeout` seconds (None: waits for ever for it to begin).

        Raises EOFError where the peer closed between frames, TimeoutError, `WireError`, OSError.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        data = self._rest
        if not data:
            self._set_timeout(timeout)
            data = self.sock.recv(_CHUNK)
            if not data:
                raise EOFError("closed by the peer")
        if len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
            data = self._complete(data, limit, deadline or time.monotonic() + FRAME_DEADLINE)
        size = _LENGTH.unpack_from(data)[0]
        if size > limit:
            raise _too_large(size, limit)
        end = _LENGTH.size + size
        self._rest = data[end:]
        return memoryview(data)[_LENGTH.size : end]

    def hang_up(self) -> None:
        """Ends the connection from another thread: whoever reads or writes it gets an error or EOF."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # not connected any more: what we wanted
            return

    def end_reading(self) -> None:
        """From another thread: lets what is under way be answered, and then EOF be read."""
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:  # gone already
            return

    def reset(self) -> None:
        """From another thread: ends the connection, and so that its peer sees a reset. An orderly end in the
        middle of the handshake would tell an honest peer that its key is wrong."""
        with suppress(OSError):  # it is closed already
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.end_reading()

    def close(self) -> None:
        """Closes the socket."""
        self.sock.close()

    def _complete(self, data: bytes | bytearray, limit: int, deadline: float) -> bytearray:
        """Reads on until the frame that `data` begins is whole."""
        whole = bytearray(data)
        missing = _LENGTH.size - len(whole)
        if missing <= 0:
            missing = self._missing(whole, limit)
        while missing > 0:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("a frame was not complete in time")
            self._set_timeout(left)
            chunk = self.sock.recv(min(max(missing, _LENGTH.size), 4 * _CHUNK))
            if not chunk:
                raise WireError("closed in the middle of a frame")
            whole += chunk
            missing = self._missing(whole, limit)
        return whole

    @staticmethod
    def _missing(whole: bytearray, limit: int) -> int:
        if len(whole) < _LENGTH.size:
            return _LENGTH.size - len(whole)
        size: int = _LENGTH.unpack_from(whole)[0]
        if size > limit:
            raise _too_large(size, limit)
        return _LENGTH.size + size - len(whole)

    def _set_timeout(self, seconds: float | None) -> None:
        if seconds != self._timeout:  # it costs a system call
            self.sock.settimeout(seconds)
            self._timeout = seconds


def _too_large(size: int, limit: int) -> WireError:
    if size >> 16 in _TLS_RECORDS:
        return SpeaksTLS("it speaks TLS, and we do not")
    return WireError(f"a frame of {size} bytes, the limit is {limit}")
