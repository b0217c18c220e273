"""A producer as the run sees it: a process and a pipe."""

from __future__ import annotations

import signal
from multiprocessing import get_context, resource_tracker
from typing import Final

from qm.errors import QueueError
from qm.simulator.chaos.producer import ProducerConfig, produce
from qm.simulator.pipe import Broken, Count, Finished, Order, hear_word, say

#: Seconds for a producer that said its last word to end by itself.
_GOOD_BYE: Final = 5.0


class Hand:
    """Starts a producer and hears how far it is. Producers are not killed: what they know is the evidence."""

    def __init__(self, config: ProducerConfig) -> None:
        context = get_context("spawn")
        self.added = self.ended = 0
        self.finished = False
        self._number = config.number
        self.pipe, others = context.Pipe()
        self._process = context.Process(target=produce, args=(config, others), daemon=True)
        # It keeps the mask: Ctrl-C is for us, and it has its pipe. One that comes now is ours a moment later,
        # since it would cut off what the child has to be told.
        noted: list[int] = []
        handler = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
        resource_tracker.ensure_running()  # else the first start makes it, and lets the signal through again
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if noted:
            signal.raise_signal(signal.SIGINT)
        others.close()

    def hear(self) -> None:
        """Takes in the next word. Raises `QueueError` where the producer is dead or has a bug."""
        try:
            word = hear_word(self.pipe)
        except (EOFError, OSError):
            raise QueueError(f"producer {self._number} died: what it was told is not known") from None
        match word:
            case Count(sent, ended):
                self.added, self.ended = sent, ended
            case Finished():
                self.finished = True
            case Broken():
                raise word.error()

    def stop(self) -> None:
        """Tells it to add nothing more and to end when all is read."""
        if not self.finished:
            say(self.pipe, Order.STOP)

    def end(self) -> None:
        """Sees to it that the process is gone."""
        if self.finished:
            self._process.join(_GOOD_BYE)
        self._process.kill()
        self._process.join()
        self.pipe.close()
