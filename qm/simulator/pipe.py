"""What a producer and the simulation say to each other: msgpack over the pipe between them."""

from __future__ import annotations

from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from qm.errors import QueueError, by_code
from qm.simulator.audit import Record


class Order(StrEnum):
    """What the simulation tells a producer."""

    #: Send nothing more; wait for what is out.
    STOP = "stop"
    #: Wait for nothing more either; judge as it stands.
    LEAVE = "leave"


class Count(Struct, frozen=True, tag="count"):
    """How far a producer is: tasks acknowledged, and of these ended."""

    sent: int
    ended: int


class Judged(Struct, frozen=True, tag="judged"):
    """Records of tasks; each task has one."""

    records: list[Record]


class Finished(Struct, frozen=True, tag="finished"):
    """Everything is judged. `sent` is how many adds were acknowledged."""

    sent: int


class Broken(Struct, frozen=True, tag="broken"):
    """The producer cannot go on: an error of the queue, as it travels."""

    code: str
    message: str
    hint: str | None

    def error(self) -> QueueError:
        """The error itself."""
        return by_code(self.code, self.message, self.hint)


Word: TypeAlias = Count | Judged | Finished | Broken

_encoder: Final = msgspec.msgpack.Encoder()
_words: Final[msgspec.msgpack.Decoder[Word]] = msgspec.msgpack.Decoder(Word)
_orders: Final = msgspec.msgpack.Decoder(Order)


def say(pipe: Connection, word: Word | Order) -> None:
    """Sends `word`. Raises OSError where nobody is at the other end."""
    pipe.send_bytes(_encoder.encode(word))


def hear_word(pipe: Connection) -> Word:
    """What a producer says next. Raises EOFError or OSError where it is gone."""
    return _words.decode(pipe.recv_bytes())


def hear_order(pipe: Connection) -> Order:
    """What the simulation says next. Raises EOFError or OSError where it is gone."""
    return _orders.decode(pipe.recv_bytes())
