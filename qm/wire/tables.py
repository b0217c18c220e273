"""The tables of docs/protocol.md, as the annotations and the comments beside them have them.

`scripts/docs` writes them between marks, so that the document cannot say what the code does not do.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from itertools import pairwise
from types import ModuleType
from typing import Any, Final, get_type_hints

from msgspec import NODEFAULT
from msgspec import inspect as kinds

from qm import errors, limits
from qm.errors import QueueError
from qm.wire import verbs
from qm.wire.codec import Fault, Reply, Request
from qm.wire.verbs import OBJECTS, QUEUE, QueueVerbs, ViewVerbs

_PLAIN: Final[dict[type, str]] = {
    kinds.IntType: "int",
    kinds.FloatType: "float",
    kinds.StrType: "str",
    kinds.BytesType: "bin",
    kinds.BoolType: "bool",
    kinds.NoneType: "nil",
}


def blocks() -> dict[str, str]:
    """Every table by the name of its mark in the document."""
    found = {f"queue.{verb}": _verb("queue", verb, QueueVerbs) for verb in QUEUE}
    found |= {f"view.{verb}": _verb("wait", verb, ViewVerbs) for verb in OBJECTS["wait"]}
    found["envelopes"] = "\n".join(_record(_info(kind)) for kind in (Request, Reply, Fault))
    records, enums = _reachable()
    found["records"] = "\n".join(_record(record) for record in records)
    found["words"] = "\n".join(_enum(enum) for enum in enums)
    found["codes"] = _codes()
    found["limits"] = _limits()
    return found


def _verb(target: str, verb: str, protocol: type) -> str:
    """How a verb is called, and what it answers."""
    function = getattr(protocol, verb)
    hints = get_type_hints(function)
    rows = ["| | argument | type | default |", "|--:|---|---|---|"]
    for place, parameter in enumerate(list(inspect.signature(function).parameters.values())[1:]):
        default = "–" if parameter.default is parameter.empty else _value(parameter.default)
        rows.append(f"| {place} | `{parameter.name}` | {_type(_info(hints[parameter.name]))} | {default} |")
    table = "\n".join(rows) + "\n\n" if len(rows) > 2 else "No arguments. "
    return f"{table}Answer: {_type(_info(hints['return']))}.{_who(target, verb)}\n"


def _who(target: str, verb: str) -> str:
    """Whose keys may call it, where keys have roles."""
    roles = getattr(verbs, "roles", None)
    return "" if roles is None else f" For keys with the role {_list(sorted(roles(target, verb)))}."


def _record(record: kinds.StructType) -> str:
    """A record with its fields; of a tagged one the first is the tag."""
    cls = _class(record)
    comments = _comments(cls)
    form = "An array, in this order." if record.array_like else "A map."
    lines = [f"#### {_name(record)}\n", f"{_said(cls)} {form}\n"]
    lines += ["| field | type | default | |", "|---|---|---|---|"]
    if record.tag is not None:
        lines.append(f'| "{record.tag}" | str | – | Which record it is. |')
    for field in record.fields:
        name, said = field.encode_name, comments.get(field.encode_name, "")
        lines.append(f"| `{name}` | {_type(field.type)} | {_default(field)} | {said} |")
    return "\n".join(lines) + "\n"


def _default(field: kinds.Field) -> str:
    if field.required:
        return "–"
    return _value(field.default if field.default is not NODEFAULT else field.default_factory())


def _enum(enum: type[StrEnum]) -> str:
    comments = _comments(enum)
    lines = [f"#### {enum.__name__}\n", f"{_said(enum)}\n", "| str | |", "|---|---|"]
    lines += [f'| "{member.value}" | {comments.get(member.name, "")} |' for member in enum]
    return "\n".join(lines) + "\n"


def _codes() -> str:
    """Every error by its code."""
    found = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, QueueError)
    ]
    rows = [f'| "{kind.code}" | {_said(kind)} |' for kind in sorted(found, key=lambda kind: kind.code)]
    return "\n".join(["| code | |", "|---|---|", *rows]) + "\n"


def _limits() -> str:
    comments = _comments(limits)
    rows = [
        f"| {name} | {_value(getattr(limits, name))} | {comments.get(name, '')} |"
        for name in vars(limits)
        if name.isupper()
    ]
    return "\n".join(["| | | |", "|---|--:|---|", *rows]) + "\n"


def _reachable() -> tuple[list[kinds.StructType], list[type[StrEnum]]]:
    """The records and enumerations of all arguments and answers, in the order in which they are met."""
    records: dict[str, kinds.StructType] = {}
    enums: dict[str, type[StrEnum]] = {}

    def visit(info: Any) -> None:
        if isinstance(info, kinds.EnumType):
            enums.setdefault(info.cls.__name__, info.cls)  # type: ignore[arg-type]
        elif isinstance(info, kinds.StructType) and _name(info) not in records:
            records[_name(info)] = info
            for field in info.fields:
                visit(field.type)
        for inner in _inside(info):
            visit(inner)

    for protocol in (QueueVerbs, ViewVerbs):
        for verb in [name for name in vars(protocol) if not name.startswith("_")]:
            for hint in get_type_hints(getattr(protocol, verb)).values():
                visit(_info(hint))
    return list(records.values()), list(enums.values())


def _inside(info: Any) -> list[Any]:
    """The types that a union, an array or a map is made of."""
    if isinstance(info, kinds.UnionType):
        return list(info.types)
    if isinstance(info, (kinds.ListType, kinds.VarTupleType, kinds.CollectionType)):
        return [info.item_type]
    if isinstance(info, kinds.DictType):
        return [info.key_type, info.value_type]
    return []


def _type(info: Any) -> str:
    """A type in the words of the document."""
    if isinstance(info, kinds.UnionType):
        return _list([_type(inner) for inner in info.types])
    if isinstance(info, (kinds.ListType, kinds.VarTupleType, kinds.CollectionType)):
        inner = _type(info.item_type)
        return f"array of ({inner})" if " or " in inner else f"array of {inner}"
    if isinstance(info, kinds.DictType):
        return f"map of {_type(info.key_type)} to {_type(info.value_type)}"
    if isinstance(info, kinds.EnumType):
        return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})"
    if isinstance(info, kinds.StructType):
        return f"[{_name(info)}](#{_name(info).lower()})"
    return _PLAIN[type(info)]


def _value(value: object) -> str:
    """A default or a bound as msgpack has it."""
    if isinstance(value, StrEnum):
        return f'"{value.value}"'
    if isinstance(value, (list, tuple)):
        return "[]" if not value else "all"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool) or value is None:
        return {None: "nil", True: "true", False: "false"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}"


def _list(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _info(hint: Any) -> Any:
    return kinds.type_info(hint if hint is not type(None) else None)


def _class(record: kinds.StructType) -> type:
    """Its class, without what a generic one is filled with."""
    return getattr(record.cls, "__origin__", record.cls)


def _name(record: kinds.StructType) -> str:
    return _class(record).__name__


def _said(described: type) -> str:
    """A docstring on one line, in the words of msgpack."""
    return " ".join((described.__doc__ or "").split()).replace("None", "nil")


def _comments(described: type | ModuleType) -> dict[str, str]:
    """What the comments marked by `#:` say of the names below them, each on one line."""
    found: dict[str, str] = {}
    said: list[str] = []
    for line, below in pairwise([*inspect.getsource(described).splitlines(), ""]):
        if match := re.match(r"\s*#: (.*)", line):
            said.append(match[1].replace("None", "nil"))
        if said and (named := re.match(r"\s*(\w+(?:, \w+)*)\s*[:=]", below)):
            found |= dict.fromkeys(named[1].split(", "), " ".join(said))
            said = []
    return found
