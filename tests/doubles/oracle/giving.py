"""GRANT and REVOKE: system privileges, roles, object privileges. "GRANT" and "REVOKE", SQL Language Reference 19c.

A column list belongs to INSERT, UPDATE and REFERENCES only: Oracle grants no SELECT on columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.expressions import listed
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import Who, holds, may_give, sees
from tests.doubles.oracle.state import PUBLIC, SYSTEM_PRIVILEGES, Database, ObjectGrant, Thing
from tests.doubles.oracle.syntax import relations

_ON_TABLES = ("SELECT", "READ", "INSERT", "UPDATE", "DELETE", "ALTER", "INDEX", "REFERENCES")
_ON_COLUMNS = ("INSERT", "UPDATE", "REFERENCES")
_ON = {"TABLE": _ON_TABLES, "VIEW": ("SELECT", "READ", "INSERT", "UPDATE", "DELETE"), "PACKAGE": ("EXECUTE",), "SYNONYM": ()}


def grant(acting: Acting, at: Cursor) -> None:
    start = at.at
    if privileges := _object_privileges(at):
        _grant_object(acting, at, privileges)
        return
    at.at = start
    names = listed(at, lambda at: _system_privilege(acting.database, at))
    at.need("TO")
    grantees = listed(at, _grantee)
    option = at.one_of("WITH")
    if option and not (at.take("ADMIN", "OPTION") or at.take("DELEGATE", "OPTION")):
        raise at.fault(905)
    at.end()
    for name in names:
        _require_admin(acting, name)
        given = acting.database.role_grants if name in acting.database.roles else acting.database.system_grants
        for grantee in grantees:
            _need_grantee(acting.database, grantee)
            given[grantee, name] = bool(option) or given.get((grantee, name), False)


def revoke(acting: Acting, at: Cursor) -> None:
    start = at.at
    if privileges := _object_privileges(at):
        _revoke_object(acting, at, privileges)
        return
    at.at = start
    names = listed(at, lambda at: _system_privilege(acting.database, at))
    at.need("FROM")
    grantees = listed(at, _grantee)
    at.end()
    for name in names:
        _require_admin(acting, name)
        is_role = name in acting.database.roles
        given = acting.database.role_grants if is_role else acting.database.system_grants
        for grantee in grantees:
            _need_grantee(acting.database, grantee)
            if (grantee, name) not in given:
                raise Fault(1951, name, grantee) if is_role else Fault(1952, grantee)
            del given[grantee, name]


def views_over(database: Database, thing: Thing) -> Iterator[Thing]:
    """The views that read it."""
    for view in database.objects.values():
        if view.query and any(database.find(path, view.owner) is thing for path in relations(view.query)):
            yield view


def _object_privileges(at: Cursor) -> dict[str, tuple[str, ...]]:
    """Those before ON, each with its columns; none where this is about system privileges or roles."""
    found: dict[str, tuple[str, ...]] = {}
    while at.word.kind == "name":
        if at.take("ALL"):
            at.take("PRIVILEGES")
            name = "ALL"
        else:
            name = at.next().text
        if at.sees("(") and name not in _ON_COLUMNS:
            # What comes after the privilege is taken for something that is not ON.
            raise at.fault(969)
        columns: tuple[str, ...] = ()
        if at.take("("):
            columns = tuple(listed(at, lambda at: at.name(904)))
            at.need(")")
        found[name] = columns
        if not at.take(","):
            break
    return found if at.take("ON") else {}


def _grant_object(acting: Acting, at: Cursor, privileges: dict[str, tuple[str, ...]]) -> None:
    thing = _target(acting, at)
    for column in {column for columns in privileges.values() for column in columns}:
        if all(column != one.name for one in thing.columns):
            raise Fault(904, column)
    at.need("TO")
    grantees = listed(at, _grantee)
    if at.take("WITH", "HIERARCHY", "OPTION"):
        raise at.fault(3001)
    grantable = at.take("WITH", "GRANT", "OPTION")
    at.end()
    for privilege in _meant(thing, privileges):
        grantor = _grantor(acting, thing, privilege)
        for grantee in grantees:
            _need_grantee(acting.database, grantee)
            if grantee in (grantor, acting.who.user):
                raise Fault(1749)
            if grantable and grantee in acting.database.roles:
                raise Fault(1926)
            _need_option_below(acting.database, thing, grantee, privilege)
            columns = privileges.get(privilege, ())
            _add(acting.database, ObjectGrant(grantee, thing.owner, thing.name, privilege, grantor, grantable, columns))


def _add(database: Database, new: ObjectGrant) -> None:
    """A grant that is there stays, and keeps its option."""
    for place, old in enumerate(database.object_grants):
        if replace(old, grantable=new.grantable) == new:
            database.object_grants[place] = old if old.grantable else new
            return
    database.object_grants.append(new)


def _revoke_object(acting: Acting, at: Cursor, privileges: dict[str, tuple[str, ...]]) -> None:
    """What was given on columns goes with the table's."""
    if any(privileges.values()):
        raise Fault(1750)
    thing = _target(acting, at)
    at.need("FROM")
    grantees = listed(at, _grantee)
    if at.take("CASCADE"):
        at.need("CONSTRAINTS")
    at.take("FORCE")
    at.end()
    everything = [*privileges] == ["ALL"]
    for privilege in _meant(thing, privileges):
        grantors = {acting.who.user}
        if not may_give(acting.database, acting.who, thing, privilege) and not everything:
            grantors = {_grantor(acting, thing, privilege), acting.who.user}
        elif holds(acting.database, acting.who, "GRANT ANY OBJECT PRIVILEGE"):
            grantors.add(thing.owner)
        for grantee in grantees:
            _need_grantee(acting.database, grantee)
            if grantee == acting.who.user:
                raise Fault(1749)
            if not _take(acting.database, thing, privilege, grantee, grantors) and not everything:
                raise Fault(1927)


def _take(database: Database, thing: Thing, privilege: str, grantee: str, grantors: set[str]) -> bool:
    """Whether there was something to take. What the grantee passed on goes too, unless it has the option from another."""
    going = [
        one
        for one in database.object_grants
        if (one.owner, one.name, one.privilege, one.grantee) == (thing.owner, thing.name, privilege, grantee)
        and one.grantor in grantors
    ]
    for one in going:
        database.object_grants.remove(one)
    if going and not may_give(database, Who(grantee), thing, privilege):
        for passed_on in {one.grantee for one in database.object_grants if one.grantor == grantee}:
            _take(database, thing, privilege, passed_on, {grantee})
    return bool(going)


def _meant(thing: Thing, privileges: Collection[str]) -> Collection[str]:
    known = _ON[thing.kind]
    if [*privileges] == ["ALL"]:
        return known
    for privilege in privileges:
        if privilege not in _ON_TABLES and privilege != "EXECUTE":
            raise Fault(990)
        if privilege not in known:
            raise Fault(2204 if thing.kind == "VIEW" else 2224)
    return privileges


def _target(acting: Acting, at: Cursor) -> Thing:
    """Raises `Fault` 942 (4042 for what is no table) for what the user can't see."""
    offset = at.word.offset
    path = at.path(903)
    thing = acting.database.find(path, acting.presence.schema)
    any_object = holds(acting.database, acting.who, "GRANT ANY OBJECT PRIVILEGE")
    if thing is None or not (sees(acting.database, acting.who, thing) or (any_object and thing.owner != "SYS")):
        raise Fault(942, offset=offset)
    return thing


def _grantor(acting: Acting, thing: Thing, privilege: str) -> str:
    """Who is recorded as having granted: with GRANT ANY OBJECT PRIVILEGE, the owner. SYS's objects are out of its reach."""
    if may_give(acting.database, acting.who, thing, privilege):
        return acting.who.user
    if holds(acting.database, acting.who, "GRANT ANY OBJECT PRIVILEGE") and thing.owner != "SYS":
        return thing.owner
    raise Fault(1031)


def _need_option_below(database: Database, view: Thing, grantee: str, privilege: str) -> None:
    """A view's owner gives others what is not its own only with the grant option on what the view reads."""
    for path in relations(view.query) if view.query and grantee != view.owner else ():
        base = database.find(path, view.owner)
        if base is None or base.of_dictionary or base.owner == view.owner:
            continue
        enough = ("SELECT",) if privilege == "SELECT" else ("SELECT", "READ")
        if not any(may_give(database, Who(view.owner), base, one) for one in enough):
            raise Fault(1720, base)


def _system_privilege(database: Database, at: Cursor) -> str:
    """A role's name, or as many words as make a system privilege. Raises `Fault` 990, 1919 for a role that isn't there."""
    words: list[str] = []
    while at.word.kind == "name" and not at.sees("TO") and not at.sees("FROM"):
        words.append(at.next().text)
    name = " ".join(words)
    if name in SYSTEM_PRIVILEGES:
        return name
    if len(words) > 1:
        raise at.fault(990)
    # CONNECT and RESOURCE are reserved words, and roles.
    role = words[0] if words else at.name(990)
    if role not in database.roles:
        raise Fault(1919, role)
    return role


def _require_admin(acting: Acting, name: str) -> None:
    database, who = acting.database, acting.who
    if name in database.roles:
        allowed = holds(database, who, "GRANT ANY ROLE") or any(database.role_grants.get((one, name)) for one in who.names)
        if not allowed:
            raise Fault(1932, name)
    elif not holds(database, who, "GRANT ANY PRIVILEGE") and not any(
        database.system_grants.get((one, name)) for one in who.names
    ):
        raise Fault(1031)


def _grantee(at: Cursor) -> str:
    return PUBLIC if at.take(PUBLIC) else at.name(987)


def _need_grantee(database: Database, name: str) -> None:
    if name != PUBLIC and name not in database.users and name not in database.roles:
        raise Fault(1917, name)
