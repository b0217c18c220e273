"""One connection through the proxy: frames up, frames down, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from asyncio import StreamReader, StreamWriter
from typing import Final

from qm.simulator.chaos.ear import Ear
from qm.simulator.chaos.schedule import Deed
from qm.wire.frames import WireError

_LENGTH: Final = struct.Struct("!I")
_RESET: Final = struct.pack("ii", 1, 0)

#: Seconds by which each frame is late on a slow connection, at most.
_LAG_MAX: Final = 0.5


class Lane:
    """Passes frames on until one side ends or a fault comes. Belongs to the proxy's loop."""

    def __init__(
        self, client: tuple[StreamReader, StreamWriter], manager: tuple[StreamReader, StreamWriter], ear: Ear
    ) -> None:
        self._client = client
        self._manager = manager
        self._ear = ear
        self._fault: Deed | None = None
        self._seconds = 0.0
        #: What is said to be wrong with what passes: nobody here speaks another protocol.
        self.nonsense: str | None = None

    async def run(self) -> None:
        """Returns when the connection is over at both ends."""
        ways = [asyncio.create_task(way) for way in (self._up(), self._down())]
        try:
            await asyncio.gather(*ways)
        except WireError as error:
            self.nonsense = str(error)
        except OSError:  # one end is gone, and so is the other
            pass
        finally:
            for way in ways:
                way.cancel()
            self.reset()

    def strike(self, deed: Deed, seconds: float) -> None:
        """Lets something go wrong: at once, or at the next frame that it fits."""
        if deed is Deed.RESET or not self._ear.is_introduced:
            self.reset()  # half a handshake would look like a wrong key, which no network makes
            return
        self._fault, self._seconds = deed, seconds
        if deed is Deed.SILENCE:
            asyncio.get_running_loop().call_later(seconds, self.reset)
        elif deed is Deed.DELAY:
            asyncio.get_running_loop().call_later(seconds, self.heal)

    def heal(self) -> None:
        """Nothing more goes wrong; a connection on which something was swallowed is ended."""
        if self._fault is Deed.SILENCE:
            self.reset()
        self._fault = None

    def reset(self) -> None:
        """Ends the connection at both ends, by a reset."""
        _reset(self._client[1])
        _reset(self._manager[1])

    async def _up(self) -> None:
        """From the client to the manager."""
        while (frame := await _read_frame(self._client[0])) is not None:
            self._ear.request(frame[_LENGTH.size :])
            if self._fault is Deed.LATE:
                await self._deliver_late(frame)
                return
            await self._pass(frame, self._manager[1])
        self._end(self._manager[1])

    async def _down(self) -> None:
        """From the manager to the client."""
        while (frame := await _read_frame(self._manager[0])) is not None:
            self._ear.reply(frame[_LENGTH.size :])
            if self._fault is Deed.LOSE_REPLY:
                self.reset()
                return
            await self._pass(frame, self._client[1])
        self._end(self._client[1])

    async def _pass(self, frame: bytes, to: StreamWriter) -> None:
        match self._fault:
            case Deed.SILENCE:
                return
            case Deed.HALF:
                to.write(frame[: len(frame) // 2])
                await to.drain()
                raise ConnectionResetError("cut in the middle of a frame")
            case Deed.DELAY:
                await asyncio.sleep(min(self._seconds, _LAG_MAX))
        to.write(frame)
        await to.drain()

    async def _deliver_late(self, frame: bytes) -> None:
        """The client is cut off now and says it again elsewhere; the manager hears the first call later."""
        _reset(self._client[1])
        await asyncio.sleep(self._seconds)
        self._manager[1].write(frame)
        await self._manager[1].drain()
        self._end(self._manager[1])
        await asyncio.sleep(self._seconds)  # for its answer to be heard

    def _end(self, to: StreamWriter) -> None:
        """Passes an orderly end on: this side says no more, and may still hear."""
        if self._fault is not Deed.SILENCE and not to.is_closing():
            to.write_eof()


async def _read_frame(reader: StreamReader) -> bytes | None:
    """A frame with its length; None at the end. Raises OSError where the end is not between two frames."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        return head + await reader.readexactly(_LENGTH.unpack(head)[0])
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ConnectionResetError("ended in the middle of a frame") from None
        return None


def _reset(writer: StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
