"""A producer as the simulation sees it: a process and a pipe."""

from __future__ import annotations

from multiprocessing import get_context
from typing import Final

from qm.errors import QueueError
from qm.simulator.audit import Audit
from qm.simulator.pipe import Broken, Count, Finished, Judged, Order, hear_word, say
from qm.simulator.producer import ProducerConfig, produce

#: Seconds for a producer that said its last word to end by itself.
_GOOD_BYE: Final = 5.0


class Member:
    """Starts a producer, hears what it says, and hands its records to the audit."""

    def __init__(self, config: ProducerConfig, audit: Audit) -> None:
        context = get_context("spawn")
        self.sent = 0
        self.ended = 0
        self.finished = False
        self._number = config.number
        self._audit = audit
        self.pipe, others = context.Pipe()
        self._process = context.Process(
            target=produce, args=(config, others), name=f"producer-{config.number}", daemon=True
        )
        self._process.start()
        others.close()

    def hear(self) -> None:
        """Takes in the next word. Raises `QueueError` where the producer is dead or cannot go on."""
        try:
            word = hear_word(self.pipe)
        except (EOFError, OSError):
            self._process.join(_GOOD_BYE)
            raise QueueError(
                f"producer {self._number} died with exit code {self._process.exitcode}; "
                f"what it sent cannot be judged"
            ) from None
        match word:
            case Count(sent, ended):
                self.sent, self.ended = sent, ended
            case Judged(records):
                for record in records:
                    self._audit.add(record)
            case Finished(sent):
                self.sent = sent
                self.finished = True
            case Broken():
                raise word.error()

    def tell(self, order: Order) -> None:
        """Tells it to stop or to leave. Its death, if that is why it cannot hear, is noticed by `hear`."""
        if not self.finished:
            try:
                say(self.pipe, order)
            except OSError:
                return

    def end(self) -> None:
        """Sees to it that the process is gone."""
        if self.finished:
            self._process.join(_GOOD_BYE)
        self._process.kill()
        self._process.join()
        self.pipe.close()
