"""Operations: what workers can do, by the type of the task.

    ops = Operations()

    @ops.operation("resize", timeout=60)
    def resize(path, width=800): ...

`registry` keeps them and runs a task, `binding` turns its input into arguments, `load` finds the Operations
of a module by its name. The built-ins are files of their own, written as you would write yours: `fibonacci`,
`arithmetic`, `reverse`, `encoder`; `builtin` has them all.
"""

from __future__ import annotations

from qm.operations.registry import Operations

__all__ = ["Operations"]
