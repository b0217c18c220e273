"""A result as the journals have it: whole ones would make them many times as large."""

from __future__ import annotations

import hashlib
from typing import Any


def digest(output: Any) -> str:
    """Tells apart all outputs, whatever they are: a wrong one need not be the text that was expected."""
    return hashlib.blake2b(repr(output).encode(errors="surrogatepass"), digest_size=12).hexdigest()
