"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import apsw

import qm

_PACKAGES: Final = ("apsw", "msgspec", "bcrypt", "uuid-utils", "bottle", "waitress")


def machine() -> dict[str, str]:
    """Processor, memory, system."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "processors": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
    }


def versions() -> dict[str, str]:
    """qmanager and what it stands on."""
    found = {
        "qmanager": qm.__version__,
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
