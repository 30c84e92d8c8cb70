"""The grammar of who may what: logins, users, roles, permissions. From their pages of the T-SQL reference."""

from __future__ import annotations

from typing import Any

from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.statements import Authorize, LoginStatement, Permit, RoleStatement, UserStatement

_PERMISSIONS = (
    ("ALTER", "ANY", "LOGIN"), ("ALTER", "ANY", "CONNECTION"), ("ALTER", "ANY", "USER"), ("ALTER", "ANY", "ROLE"),
    ("ALTER", "ANY", "SCHEMA"), ("ALTER", "ANY", "DATABASE"), ("CREATE", "ANY", "DATABASE"), ("VIEW", "SERVER", "STATE"),
    ("VIEW", "ANY", "DEFINITION"), ("VIEW", "ANY", "DATABASE"), ("VIEW", "DEFINITION"), ("VIEW", "DATABASE", "STATE"),
    ("CONTROL", "SERVER"), ("CREATE", "SCHEMA"), ("CREATE", "VIEW"), ("CREATE", "TABLE"), ("CREATE", "ROLE"),
    ("CONNECT", "SQL"), ("CONNECT",), ("CONTROL",), ("ALTER",), ("SELECT",), ("INSERT",), ("UPDATE",), ("DELETE",),
    ("REFERENCES",), ("EXECUTE",), ("IMPERSONATE",), ("TAKE", "OWNERSHIP"),
)  # fmt: skip
_SERVER_PERMISSIONS = frozenset(
    {
        *("ALTER ANY LOGIN", "ALTER ANY CONNECTION", "ALTER ANY DATABASE", "CREATE ANY DATABASE"),
        *("VIEW SERVER STATE", "VIEW ANY DEFINITION", "VIEW ANY DATABASE", "CONTROL SERVER", "CONNECT SQL"),
    }
)


def login(at: Cursor, verb: str) -> LoginStatement:
    """After CREATE LOGIN or ALTER LOGIN."""
    name = at.name()
    if verb == "ALTER" and (at.sees("ENABLE") or at.sees("DISABLE")):
        return LoginStatement(verb=verb, name=name, enabled=at.one_of("ENABLE", "DISABLE") == "ENABLE")
    at.expect("WITH")
    found: dict[str, Any] = {}
    if verb == "CREATE" and not at.sees("PASSWORD"):
        raise at.wrong()
    while True:
        _login_option(at, verb, found)
        if not at.accept(","):
            return LoginStatement(verb=verb, name=name, **found)


def _login_option(at: Cursor, verb: str, found: dict[str, Any]) -> None:  # noqa: C901 - one arm for each option
    start = at.here
    word = at.step().word
    at.expect("=")
    before = len(found)
    match word:
        case "PASSWORD":
            found["password"] = _password(at)
            if verb == "ALTER":
                at.accept("UNLOCK")
        case "SID" if verb == "CREATE":
            if at.here.kind != "binary":
                raise at.wrong()
            found["sid"] = at.step().value
        case "NAME" if verb == "ALTER":
            found["renamed"] = at.name()
        case "CHECK_POLICY":
            found["policy"] = at.one_of("ON", "OFF") == "ON"
        case "CHECK_EXPIRATION":
            found["expiration"] = at.one_of("ON", "OFF") == "ON"
        case "DEFAULT_LANGUAGE":
            found["language"] = at.name()
        case "DEFAULT_DATABASE":
            found["database"] = at.name()
        case _:
            raise at.wrong(start)
    if len(found) == before:
        raise at.wrong(start)


def _password(at: Cursor) -> str | bytes:
    # A literal: neither a variable nor a bound parameter may stand here.
    if at.here.kind == "binary":
        hashed = at.step().value
        at.expect("HASHED")
        assert isinstance(hashed, bytes)
        return hashed
    return at.string()


def user(at: Cursor, verb: str) -> UserStatement:
    name = at.name()
    found: dict[str, Any] = {}
    if verb == "CREATE":
        if at.accept("WITHOUT", "LOGIN"):
            found["without_login"] = True
        elif at.accept("FOR", "LOGIN") or at.accept("FROM", "LOGIN"):
            found["login"] = at.name()
        if not at.accept("WITH"):
            return UserStatement(verb=verb, name=name, **found)
    else:
        at.expect("WITH")
    found |= dict(at.several(lambda: _user_option(at, verb)))
    return UserStatement(verb=verb, name=name, **found)


def _user_option(at: Cursor, verb: str) -> tuple[str, str]:
    options = (
        {"DEFAULT_SCHEMA": "schema"} if verb == "CREATE" else {"DEFAULT_SCHEMA": "schema", "LOGIN": "login", "NAME": "renamed"}
    )
    word = at.one_of(*options)
    at.expect("=")
    return options[word], at.name()


def role(at: Cursor, verb: str, *, server: bool = False) -> RoleStatement:
    name = at.name()
    if verb == "CREATE":
        return RoleStatement("CREATE", name, at.name() if at.accept("AUTHORIZATION") else None)
    change = at.one_of("ADD", "DROP")
    at.expect("MEMBER")
    return RoleStatement(change, name, at.name(), server)


def permit(at: Cursor, verb: str) -> Permit:
    """After GRANT, REVOKE or DENY."""
    option = verb == "REVOKE" and at.accept("GRANT", "OPTION", "FOR")
    permissions = at.several(lambda: _permission(at))
    kind, path = _securable(at) if at.accept("ON") else (_without_securable(permissions), ())
    if kind == "OBJECT" and at.sees("("):
        # The columns may follow the permission or the object.
        columns = at.within(lambda: at.several(at.name))
        permissions = tuple((name, (*before, *columns)) for name, before in permissions)
    if verb == "REVOKE":
        at.one_of("TO", "FROM")
    else:
        at.expect("TO")
    grantees = at.several(lambda: _principal(at))
    if verb == "GRANT":
        option = at.accept("WITH", "GRANT", "OPTION")
    cascade = verb != "GRANT" and at.accept("CASCADE")
    grantor = at.name() if at.accept("AS") else None
    return Permit(
        verb=verb,
        permissions=permissions,
        kind=kind,
        path=path,
        grantees=grantees,
        option=option,
        cascade=cascade,
        grantor=grantor,
    )


def _principal(at: Cursor) -> str:
    return "public" if at.accept("PUBLIC") else at.name()


def _permission(at: Cursor) -> tuple[str, tuple[str, ...]]:
    for words in _PERMISSIONS:
        if at.accept(*words):
            return " ".join(words), at.within(lambda: at.several(at.name)) if at.sees("(") else ()
    raise at.wrong()


def _securable(at: Cursor) -> tuple[str, tuple[str, ...]]:
    kind = "OBJECT"
    if at.ahead().text == "::":
        kind = at.one_of("OBJECT", "SCHEMA", "DATABASE", "LOGIN", "USER", "ROLE")
        at.expect("::")
    path = at.path(2 if kind == "OBJECT" else 1)
    return kind, path


def _without_securable(permissions: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    return "SERVER" if all(name in _SERVER_PERMISSIONS for name, _ in permissions) else "DATABASE"


def authorization(at: Cursor) -> Authorize:
    at.expect("ON")
    kind = at.one_of("OBJECT", "SCHEMA", "DATABASE", "ROLE") if at.ahead().text == "::" else "OBJECT"
    if kind != "OBJECT" or at.sees("::"):
        at.expect("::")
    path = at.path(2)
    at.expect("TO")
    if at.accept("SCHEMA", "OWNER"):
        return Authorize(kind, path, "")
    return Authorize(kind, path, at.name())
