"""Requests that are no plain batch: remote procedure calls ([MS-TDS] 2.2.6.6), the transaction manager's (2.2.6.9)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.sqlserver.sql.types import Type, Value
from tests.doubles.sqlserver.wire.values import Reader, Unknown

Parameters = dict[str, tuple[Type, Value]]
"""By name, with its `@`."""

_PROCEDURES = {10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}
_BEGIN, _COMMIT, _ROLLBACK = 5, 7, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    procedure: str
    text: str = ""
    handle: int = 0
    parameters: Parameters


def parse_call(payload: bytes) -> Call:
    """Raises `Unknown` for what the double does not serve."""
    request = Reader(payload)
    request.skip_headers()
    length = request.number(2)
    name = _PROCEDURES.get(request.number(2), "?") if length == 0xFFFF else request.take(2 * length).decode("utf-16-le")
    request.take(2)
    sent: list[tuple[str, Type, Value]] = []
    while request.more:
        parameter = request.text()
        request.take(1)
        sent.append((parameter, *request.value()))
    return _call(name, sent)


def _call(name: str, sent: list[tuple[str, Type, Value]]) -> Call:
    match name:
        case "sp_executesql":
            head, rest = sent[:2], sent[2:]
            return Call(procedure=name, text=str(head[0][2]), parameters=_named(rest, _declared(head[1:])))
        case "sp_prepexec" | "sp_prepare":
            rest = sent[3:] if name == "sp_prepexec" else []
            return Call(procedure=name, text=str(sent[2][2]), parameters=_named(rest, _declared(sent[1:2])))
        case "sp_execute" | "sp_unprepare":
            return Call(procedure=name, handle=int(str(sent[0][2])), parameters=_named(sent[1:], []))
    # Any other procedure is a batch that executes it.
    parameters = {f"@P{number}": (kind, value) for number, (_, kind, value) in enumerate(sent, start=1)}
    given = ", ".join(f"{said} = {name}" if said else name for (said, _, _), name in zip(sent, parameters, strict=True))
    return Call(procedure="sp_executesql", text=f"EXEC {name} {given}", parameters=parameters)


def _declared(sent: list[tuple[str, Type, Value]]) -> list[str]:
    """The names in a declaration such as `@P1 nvarchar(10),@P2 decimal(10,2)`."""
    return [word for word in str(sent[0][2] or "").replace(",", " ").split() if word.startswith("@")] if sent else []


def _named(sent: list[tuple[str, Type, Value]], declared: list[str]) -> Parameters:
    names = declared + [f"@P{number}" for number in range(len(declared) + 1, len(sent) + 1)]
    return {(name or names[place]): (kind, value) for place, (name, kind, value) in enumerate(sent)}


def parse_transaction(payload: bytes) -> str:
    """The statement that says the same."""
    request = Reader(payload)
    request.skip_headers()
    kind = request.number(2)
    statements = {_BEGIN: "BEGIN TRANSACTION", _COMMIT: "COMMIT TRANSACTION", _ROLLBACK: "ROLLBACK TRANSACTION"}
    if kind not in statements:
        raise Unknown(f"the transaction manager's request {kind}")
    if kind == _BEGIN:
        return statements[kind]
    request.text()
    begins_next = bool(request.number(1) & 1)
    return statements[kind] + ("; BEGIN TRANSACTION" if begins_next else "")
