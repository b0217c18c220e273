"""What a run is to do."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from qm.errors import BadRequest

#: Each is a process of its own; a larger number is a mistake of typing.
PRODUCERS_MAX: Final = 256


class Plan(Struct, frozen=True, kw_only=True):
    """How much of what, from how many. `count` is over all producers, None is until told to stop."""

    producers: int = 2
    count: int | None = None
    #: Seconds that each producer pauses between two tasks.
    delay: float = 1.0
    #: The same seed and number of producers give the same tasks.
    seed: int = 0
    #: The cost of the encoder's hashes; None leaves it to the operation.
    encoder_cost: int | None = None

    def __post_init__(self) -> None:
        """Raises `BadRequest` for numbers that make no sense."""
        if not 1 <= self.producers <= PRODUCERS_MAX:
            raise BadRequest(f"there can be 1 to {PRODUCERS_MAX} producers, not {self.producers}")
        if self.count is not None and self.count < 1:
            raise BadRequest("the count is a number of tasks, at least 1")
        if not 0 <= self.delay < float("inf"):
            raise BadRequest("the delay is in seconds, 0 or more")

    def __str__(self) -> str:
        tasks = (
            "tasks until Ctrl-C"
            if self.count is None
            else "1 task"
            if self.count == 1
            else f"{self.count:,} tasks"
        )
        producers = "1 producer" if self.producers == 1 else f"{self.producers} producers"
        pause = f"{self.delay:g} s apart" if self.delay else "as fast as they go"
        return f"{tasks} from {producers}, {pause}"

    def share(self, producer: int) -> int | None:
        """How many tasks of `count` fall to one producer."""
        if self.count is None:
            return None
        return self.count // self.producers + (producer < self.count % self.producers)
