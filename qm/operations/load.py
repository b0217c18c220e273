"""Finding operations by the names of the modules that hold them."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

from qm.errors import LoadError
from qm.operations.registry import Operations

#: Files that are not the user's: an error is shown at the last line that is.
_LIBRARY: Final = (sysconfig.get_path("stdlib") + os.sep, str(Path(__file__).parents[1]) + os.sep)


def load(modules: Iterable[str]) -> Operations:
    """Imports each of `modules` and returns all operations in them together.

    The current directory can be imported from, as with ``python -m``. Every `Operations` object in a module's
    namespace counts, under any name.

    Raises `LoadError` if a module does not import or holds no operations, `DuplicateType` if two of them
    register the same type.
    """
    _import_from_here()
    found = Operations()
    # A lone name is meant as one module, not as its letters.
    for name in [modules] if isinstance(modules, str) else modules:
        found.merge(*_operations(_import(name)))
    return found


def _import_from_here() -> None:
    """Left in place afterwards: operations import, too."""
    # A directory that is gone has nothing to import.
    with contextlib.suppress(FileNotFoundError):
        here = os.getcwd()
        if here not in sys.path and not sys.flags.safe_path:
            sys.path.insert(0, here)


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadError(f"{name!r} is not the name of a module: write it as after `import`, like mail.tasks")
    try:
        return importlib.import_module(name)
    except SystemExit as error:
        raise LoadError(
            f"module {name!r} ends the program when it is imported{_place(error)}: "
            f'put what should not run then under `if __name__ == "__main__":`'
        ) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise LoadError(_not_found(name)) from error
        what = traceback.format_exception_only(error)[-1].strip()
        raise LoadError(f"module {name!r} does not import: {what}{_place(error)}") from error


def _not_found(name: str) -> str:
    module = name.removesuffix(".py")
    hint = "" if module == name else f"; give the name of the module, {module}, not of its file"
    return f"there is no module {name!r}, neither in the current directory nor installed{hint}"


def _operations(module: ModuleType) -> list[Operations]:
    # By type(): a lazy proxy in the namespace may answer isinstance with an error.
    held = [value for value in vars(module).values() if issubclass(type(value), Operations)]
    if not held:
        raise LoadError(
            f"module {module.__name__!r} holds no operations: it needs `ops = Operations()` at its top level"
        )
    if not any(held):
        raise LoadError(
            f"module {module.__name__!r} registers nothing in its Operations: "
            f"if that happens in other modules, it must import them"
        )
    return held


def _place(error: BaseException) -> str:
    """Where it happened, as `` (at FILE:LINE)``: the innermost line of the user's own, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" (at {error.filename}:{error.lineno})"
    # The first frame is `_import` itself.
    frames = [
        f for f in traceback.extract_tb(error.__traceback__)[1:] if not f.filename.startswith("<frozen")
    ]
    own = [f for f in frames if not _is_library(f.filename)]
    return f" (at {own[-1].filename}:{own[-1].lineno})" if own else ""


def _is_library(file: str) -> bool:
    parts = Path(file).parts
    return file.startswith(_LIBRARY) or "site-packages" in parts or "dist-packages" in parts
