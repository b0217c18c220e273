"""How likely each fault is. Each world draws its own: some are rough in one way, some in all, some hardly."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec import Struct


class Odds(Struct, frozen=True, kw_only=True):
    """Probabilities, each for one event of its kind, unless a comment says otherwise."""

    #: A message is lost, arrives twice, or is under way for up to a minute.
    loss: float = 0.0
    double: float = 0.0
    slow: float = 0.0
    #: The manager dies in a call; its store refuses a commit.
    manager_crash: float = 0.0
    refusal: float = 0.0
    #: A child dies of the task that it runs.
    child_crash: float = 0.0
    #: Of an attempt that does not finish: it fails, or asks for another.
    failure: float = 0.0
    #: A child gives back a task that it has not started, or its parent does.
    release: float = 0.0
    #: Per second: a whole pool vanishes, is stopped for a while, leaves in peace; the manager is stopped.
    vanish: float = 0.0
    freeze: float = 0.0
    leave: float = 0.0
    sleep: float = 0.0
    #: Per second: somebody sets the wall clock; the disk is full for a while, and refuses most commits.
    jump: float = 0.0
    full: float = 0.0

    @classmethod
    def draw(cls, rng: Random) -> Odds:
        """The odds of one world."""
        most = {
            "loss": 0.25,
            "double": 0.25,
            "slow": 0.1,
            "manager_crash": 0.06,
            "refusal": 0.08,
            "child_crash": 0.25,
            "failure": 0.4,
            "release": 0.3,
            "vanish": 0.03,
            "freeze": 0.08,
            "leave": 0.02,
            "sleep": 0.01,
            "jump": 0.02,
            "full": 0.03,
        }
        return cls(
            **{name: rng.random() * odds if rng.random() < 0.6 else 0.0 for name, odds in most.items()}
        )


CALM: Final = Odds()
