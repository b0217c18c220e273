"""What can be stopped, continued and killed: pools, children, producers, the manager."""

from __future__ import annotations

from tests.simulation.world import Happening, World


class Process:
    """Something that acts by itself. While it is frozen, what should happen in it waits; once it is dead, it
    never happens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self._frozen_until = 0.0

    def after(self, seconds: float, happening: Happening) -> None:
        """Something happens in this process, if it lives then."""
        self.world.after(seconds, lambda: self.do(happening))

    def do(self, happening: Happening) -> None:
        """Now, or when it is no longer frozen, or never."""
        if self.dead:
            return
        if self.frozen:
            self.after(self._frozen_until - self.world.time, happening)
        else:
            happening()

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self.world.time < self._frozen_until

    def freeze(self, seconds: float) -> None:
        """It stands still for a while, and does not notice."""
        self._frozen_until = max(self._frozen_until, self.world.time + seconds)

    def kill(self) -> None:
        """It never does anything again."""
        self.dead = True
