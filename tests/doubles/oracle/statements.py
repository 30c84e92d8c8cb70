"""From a statement's text to what it does: which verb, whether it commits, what it may not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.doubles.oracle import accounts, administration, blocks, changes, giving, objects, profiles, queries, system
from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.lexer import Token, tokens
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.seam import Result, Value

_DEFINITIONS: dict[tuple[str, ...], Callable[[Acting, Cursor], None]] = {
    ("CREATE", "USER"): accounts.create_user,
    ("CREATE", "ROLE"): accounts.create_role,
    ("CREATE", "PROFILE"): profiles.create_profile,
    ("CREATE", "TABLE"): objects.create_table,
    ("ALTER", "USER"): accounts.alter_user,
    ("ALTER", "PROFILE"): profiles.alter_profile,
    ("ALTER", "TABLE"): objects.alter_table,
    ("CREATE", "OR", "REPLACE", "FUNCTION"): administration.create_verify_function,
    ("DROP", "FUNCTION"): administration.drop_function,
    ("DROP", "TRIGGER"): administration.drop_trigger,
    ("DROP", "USER"): accounts.drop_user,
    ("DROP", "ROLE"): accounts.drop_role,
    ("DROP", "PROFILE"): profiles.drop_profile,
    ("DROP", "TABLE"): lambda acting, at: objects.drop(acting, at, "TABLE"),
    ("DROP", "VIEW"): lambda acting, at: objects.drop(acting, at, "VIEW"),
    ("GRANT",): giving.grant,
    ("REVOKE",): giving.revoke,
    ("COMMENT",): objects.comment,
}
_VIEW_FORMS = (
    ("CREATE", "VIEW"),
    *(("CREATE", *replaced, *forced, "VIEW") for replaced in ((), ("OR", "REPLACE")) for forced in ((), ("NOFORCE",))),
)
_CHANGES: dict[str, Callable[[Acting, Cursor], Result]] = {
    "INSERT": changes.insert,
    "UPDATE": changes.update,
    "DELETE": changes.delete,
}
_UNKNOWN = {"CREATE": 901, "ALTER": 940, "DROP": 950}
_QUERIES = ("SELECT", "WITH", "(")


def run(acting: Acting, text: str) -> Result:
    """Raises `Fault`. A definition commits before it begins, and again when it is done."""
    if acting.presence.ended:
        raise Fault(28)
    words = tokens(text, longest_name=acting.database.longest_name)
    _refuse_if_told(acting, text)
    at = Cursor(words)
    if at.sees("BEGIN") or at.sees("DECLARE"):
        acting = replace(acting, values=_by_occurrence(words, acting.values))
        blocks.run(acting, at, run)
        return Result()
    if any(at.sees(word) for word in _QUERIES):
        return _query(acting, at)
    if verb := at.one_of(*_CHANGES):
        return _CHANGES[verb](acting, at)
    if not _control(acting, at):
        _define(acting, at, text, bound=any(word.kind == "bind" for word in words))
    return Result()


def _query(acting: Acting, at: Cursor) -> Result:
    query = queries.query(at)
    at.end()
    answer = acting.reader.read(query)
    if query.locks and acting.database.read_only:
        raise Fault(16000)
    return Result(answer.columns, answer.rows)


def _control(acting: Acting, at: Cursor) -> bool:
    """What neither reads, changes nor defines; whether it was such."""
    if at.take("COMMIT") or at.take("ROLLBACK"):
        undone = at.since(0)[0].text == "ROLLBACK"
        at.take("WORK")
        at.end()
        (acting.rollback if undone else acting.commit)()
    elif at.take("LOCK"):
        changes.lock_table(acting, at)
    elif at.take("ALTER", "SESSION"):
        system.alter_session(acting, at)
    elif at.take("ALTER", "SYSTEM"):
        system.alter_system(acting, at)
    elif at.take("ALTER", "PLUGGABLE", "DATABASE"):
        administration.alter_pluggable_database(acting, at)
    else:
        return False
    return True


def _define(acting: Acting, at: Cursor, text: str, *, bound: bool) -> None:
    work = _definition(at, text)
    if bound:
        raise Fault(1027)
    if acting.database.read_only:
        raise Fault(16000)
    acting.commit()
    work(acting, at)
    acting.commit()


def _definition(at: Cursor, text: str) -> Callable[[Acting, Cursor], None]:
    for words, work in _DEFINITIONS.items():
        if at.take(*words):
            return work
    if at.take("CREATE", "OR", "REPLACE", "TRIGGER"):
        return lambda acting, at: administration.create_logon_trigger(acting, at, text)
    for words in _VIEW_FORMS:
        if at.take(*words):
            replacing = "REPLACE" in words
            return lambda acting, at: objects.create_view(acting, at, text, replacing=replacing)
    raise Fault(_UNKNOWN.get(at.word.text, 900))


def _by_occurrence(words: list[Token], values: Sequence[Value]) -> list[Value]:
    """PL/SQL has one value for each distinct placeholder; here each occurrence has one, as in SQL."""
    names = [word.text for word in words if word.kind == "bind"]
    distinct = list(dict.fromkeys(names))
    if len(values) < len(distinct):
        raise Fault(1008)
    return [values[distinct.index(name)] for name in names]


def _refuse_if_told(acting: Acting, text: str) -> None:
    for place, (beginning, code) in enumerate(acting.database.refusals):
        if text.lstrip().upper().startswith(beginning):
            del acting.database.refusals[place]
            raise Fault(code)
