"""The managers of a run, each behind a proxy of its own: so their addresses stay, whoever is killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from qm.errors import QueueError
from qm.simulator.chaos.journal import Journal
from qm.simulator.chaos.programs import Manager
from qm.simulator.chaos.proxy import Proxy
from qm.simulator.chaos.schedule import ChaosPlan, Step
from qm.wire.address import Address

#: The file of the key that all of a run have.
KEY: Final = "authkey"


class Seat(NamedTuple):
    """A manager, and where everybody finds it."""

    manager: Manager
    proxy: Proxy

    def look(self) -> None:
        """Has the proxy lead to it, if it serves by now."""
        if self.proxy.manager is None:
            self.proxy.manager = self.manager.address()


class Managers:
    """All of them. Main thread only."""

    def __init__(self, folder: Path, command: Sequence[str], plan: ChaosPlan, journals: Path) -> None:
        """Their files are in `folder`, of several in a folder for each."""
        store = plan.store or f"sqlite:{folder / 'queue.db'}"
        self.seats: list[Seat] = []
        for number in range(plan.managers):
            alone = plan.managers == 1
            name = "manager" if alone else f"manager {number}"
            own = folder if alone else folder / f"manager-{number}"
            own.mkdir(mode=0o700, exist_ok=True)
            manager = Manager(own, command, store, plan.durability, name, folder / KEY)
            self.seats.append(Seat(manager, Proxy(Journal(journals, f"proxy-{number}"))))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where clients and workers find them."""
        return tuple(seat.proxy.address for seat in self.seats)

    @property
    def nonsense(self) -> list[str]:
        """Frames that were no calls or answers, in words."""
        return [words for seat in self.seats for words in seat.proxy.nonsense]

    def start(self) -> None:
        """Starts all, at once."""
        for seat in self.seats:
            seat.proxy.start()
            seat.manager.start()

    def all_serve(self) -> bool:
        """Whether all do. The proxies lead to those that do."""
        for seat in self.seats:
            seat.look()
        return all(seat.proxy.manager is not None for seat in self.seats)

    def check(self) -> None:
        """Raises `QueueError` where one has ended."""
        for seat in self.seats:
            if seat.manager.code is not None:
                raise QueueError(
                    f"the {seat.manager.name} ended with exit code {seat.manager.code}",
                    hint="what it said is in its manager.log",
                )

    def strike(self, step: Step) -> None:
        """Breaks one of the connections to all of them, which the step draws."""
        place = step.draw * sum(seat.proxy.connections for seat in self.seats)
        for seat in self.seats:
            here = seat.proxy.connections
            if place < here:
                seat.proxy.strike(step.deed, step.seconds, place / here)
                return
            place -= here

    def heal(self) -> None:
        """From now on no connection breaks any more."""
        for seat in self.seats:
            seat.proxy.heal()

    def end(self, seconds: float) -> None:
        """Asks all to leave, and kills who has not after `seconds`; ends the proxies."""
        for seat in self.seats:
            seat.manager.end(seconds)
            seat.proxy.stop()
