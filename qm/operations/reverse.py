"""reverse: a text from its end to its beginning, by what people see as one character."""

from __future__ import annotations

from typing import Final

import regex

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.registry import Operations

ops = Operations()

#: A grapheme cluster. \X alone would do, but looks back over the whole row at every flag: a row of 250,000
#: took it minutes. So flags, which are pairs of regional indicators, have an alternative of their own.
_CLUSTER: Final = regex.compile(
    r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+|\X", regex.VERSION1
)


@ops.operation("reverse")
def reverse(text: object) -> str:
    """`text` reversed by grapheme clusters, so that accents stay on their letters and emoji whole."""
    if not isinstance(text, str):
        raise NonRetryable(f"reverse needs a text, got {kind(text)}")
    return "".join(reversed(_CLUSTER.findall(text)))
