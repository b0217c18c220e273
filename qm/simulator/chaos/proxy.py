"""What stands between the manager and everybody else: an address that stays, and connections that break.

A thread with a loop of its own. The manager behind it may be killed and come back under another port; while
it is away, who connects is reset, as by a machine on which nobody listens.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from typing import Final

from qm.simulator.chaos.ear import Ear
from qm.simulator.chaos.journal import Journal
from qm.simulator.chaos.lane import Lane
from qm.simulator.chaos.schedule import Deed
from qm.wire.address import Address, listen, tune

#: Bytes that a connection may hold back: more than a frame.
_BUFFER: Final = 8 * 1024 * 1024

_HOST: Final = "127.0.0.1"


class Proxy:
    """Listens from `start` to `stop`. All methods may be called from any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._lanes: list[Lane] = []
        self._runs: set[asyncio.Task[None]] = set()
        self._socket = listen(Address(_HOST, 0))
        #: Where clients and workers connect.
        self.address = Address(_HOST, self._socket.getsockname()[1])
        #: Where the manager is; None while there is none.
        self.manager: Address | None = None
        #: Frames that were no calls or answers, in words.
        self.nonsense: list[str] = []

    @property
    def connections(self) -> int:
        """How many pass through it now."""
        return len(self._lanes)

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()

    def strike(self, deed: Deed, seconds: float, draw: float) -> None:
        """Breaks one connection, which `draw` (0 to 1) names. Without any, nothing happens."""
        self._loop.call_soon_threadsafe(self._strike, deed, seconds, draw)

    def heal(self) -> None:
        """From now on nothing breaks any more."""
        self._loop.call_soon_threadsafe(self._heal)

    def stop(self) -> None:
        """Ends all connections and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, sock=self._socket, limit=_BUFFER)
        )
        self._loop.run_forever()
        server.close()
        for run in self._runs:
            run.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._runs, return_exceptions=True))
        self._loop.close()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        run = self._loop.create_task(self._serve(reader, writer))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            manager = await self._connect()
        except OSError:
            writer.transport.abort()  # with the client's data unread or not: nobody has greeted it yet
            return
        for end in (writer, manager[1]):
            tune(end.get_extra_info("socket"))
        lane = Lane((reader, writer), manager, Ear(self._journal))
        self._lanes.append(lane)
        try:
            await lane.run()
        finally:
            self._lanes.remove(lane)
            if lane.nonsense:
                self.nonsense.append(lane.nonsense)

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        if self.manager is None:
            raise ConnectionRefusedError
        return await asyncio.open_connection(*self.manager, limit=_BUFFER)

    def _heal(self) -> None:
        for lane in list(self._lanes):
            lane.heal()

    def _strike(self, deed: Deed, seconds: float, draw: float) -> None:
        if self._lanes:
            self._lanes[int(draw * len(self._lanes))].strike(deed, seconds)
