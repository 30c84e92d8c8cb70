"""The data dictionary and the dynamic performance views: Database Reference 19c, with the columns that matter here.

`DBA_` shows all, `ALL_` what the user may see, `USER_` what it owns. SELECT on DBA_ and V$ is for those that were given it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tests.doubles.oracle import instance_views
from tests.doubles.oracle.rights import Who, sees
from tests.doubles.oracle.seam import Column, Value
from tests.doubles.oracle.state import Database, ObjectGrant, Thing
from tests.doubles.oracle.syntax import Kind, Query, Type, relations

Rows = Iterable[tuple[Value, ...]]
_TYPES: dict[Kind, Type] = {
    "varchar2": Type("VARCHAR2", "varchar2", 0),
    "number": Type("NUMBER", "number", 22),
    "date": Type("DATE", "date", 7),
    "timestamp": Type("TIMESTAMP(6)", "timestamp", 11, scale=6),
    "raw": Type("RAW", "raw", 0),
}
"""What a column of an answer is; its size is the column's where there is none here."""
_KINDS = {"n": "number", "d": "date"}


def install(database: Database) -> None:
    """Puts the views into SYS; those of ALL_, USER_ and SESSION_ are for everyone."""
    described = {**_DESCRIBED, **instance_views.DESCRIBED}
    for name, description in described.items():
        columns = tuple(_column(word) for word in description.split())
        database.objects["SYS", name] = Thing(
            "SYS", name, "VIEW", next(database.numbers), database.now(), columns, of_dictionary=True
        )
        if not name.startswith(("DBA_", "V_$", "GV_$")) or name == "V_$VERSION":
            database.object_grants.append(ObjectGrant("PUBLIC", "SYS", name, "SELECT", "SYS", grantable=False))


def rows(database: Database, thing: Thing, who: Who) -> Rows:
    """The content of a view as this user sees it."""
    if thing.name in instance_views.ROWS:
        return instance_views.ROWS[thing.name](database, who)
    scope, _, name = thing.name.partition("_")
    if name in _OF_THINGS:
        return _scoped(database, who, scope, name)
    return _PLAIN[thing.name](database, who)


def _scoped(database: Database, who: Who, scope: str, name: str) -> Iterator[tuple[Value, ...]]:
    for thing in list(database.objects.values()):
        shown = {"DBA": True, "ALL": sees(database, who, thing), "USER": thing.owner == who.user}
        for row in _OF_THINGS[name](database, thing) if shown[scope] else ():
            yield row[1:] if scope == "USER" else row


def _column(word: str) -> Column:
    name, _, kind = word.partition(":")
    return Column(name, _KINDS.get(kind, "varchar2"), 128 if kind != "t" else 4000)  # type: ignore[arg-type]  # one of the kinds


def _objects(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    valid = "VALID" if not isinstance(thing.query, Query) or not _broken(database, thing) else "INVALID"
    own = "Y" if thing.of_dictionary else "N"
    yield (thing.owner, thing.name, None, thing.number, thing.kind, thing.created, thing.created, valid, "N", "N", own)
    for part in thing.partitions:
        kind = "TABLE PARTITION"
        yield (thing.owner, thing.name, part, thing.number, kind, thing.created, thing.created, valid, "N", "N", own)


def _broken(database: Database, thing: Thing) -> bool:
    named = {one.name for one in thing.query.named} if thing.query else set()
    return any(database.find(path, thing.owner) is None and path[-1] not in {"DUAL"} | named for path in relations(thing.query))


def _tables(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    if thing.kind == "TABLE":
        parted = "YES" if thing.partitions else "NO"
        place = None if thing.partitions else "USERS"
        yield (thing.owner, thing.name, place, "VALID", parted, "N", "NO", "N", None, "NO", "NO", None)


def _views(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    if thing.kind == "VIEW":
        yield (thing.owner, thing.name, len(thing.text), thing.text, thing.text, "N")


def _columns(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    for place, column in enumerate(thing.columns, 1):
        its = thing.types.get(column.name) or replace(_TYPES[column.kind], size=_TYPES[column.kind].size or column.size)
        text = "CHAR" in its.name
        yield (
            thing.owner, thing.name, column.name, its.name, None, its.size, its.precision, its.scale,
            "Y", place, place, its.size if text else 0, "B" if text else None, "NO", "NO", "YES",
        )  # fmt: skip


def _comments(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    if thing.kind in ("TABLE", "VIEW"):
        yield (thing.owner, thing.name, thing.kind, thing.comment)


def _partitions(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    for place, part in enumerate(thing.partitions, 1):
        yield (thing.owner, thing.name, part, place)


def _parted(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    if thing.partitions:
        yield (thing.owner, thing.name, "RANGE", len(thing.partitions))


def _dependencies(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    for path in relations(thing.query):
        if base := database.find(path, thing.owner):
            yield (thing.owner, thing.name, thing.kind, base.owner, base.name, base.kind, None, "HARD")


def _procedures(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    names = {"RDSADMIN_UTIL": ("KILL", "DISCONNECT"), "DBMS_LOCK": ("ALLOCATE_UNIQUE", "REQUEST", "RELEASE")}
    for procedure in names.get(thing.name, ()):
        yield (thing.owner, thing.name, procedure, "PACKAGE")


def _nothing(database: Database, thing: Thing) -> Iterator[tuple[Value, ...]]:
    yield from ()


_OF_THINGS: dict[str, Callable[[Database, Thing], Iterator[tuple[Value, ...]]]] = {
    "OBJECTS": _objects,
    "TABLES": _tables,
    "VIEWS": _views,
    "TAB_COLUMNS": _columns,
    "TAB_COLS": _columns,
    "TAB_COMMENTS": _comments,
    "TAB_PARTITIONS": _partitions,
    "PART_TABLES": _parted,
    "DEPENDENCIES": _dependencies,
    "PROCEDURES": _procedures,
    "MVIEWS": _nothing,
    "EXTERNAL_TABLES": _nothing,
    "SYNONYMS": _nothing,
}
_COLUMNS_OF_THINGS = {
    "OBJECTS": "OBJECT_NAME SUBOBJECT_NAME OBJECT_ID:n OBJECT_TYPE CREATED:d LAST_DDL_TIME:d STATUS TEMPORARY GENERATED "
    "ORACLE_MAINTAINED",
    "TABLES": "TABLE_NAME TABLESPACE_NAME STATUS PARTITIONED TEMPORARY NESTED SECONDARY IOT_TYPE EXTERNAL DROPPED NUM_ROWS:n",
    "VIEWS": "VIEW_NAME TEXT_LENGTH:n TEXT:t TEXT_VC:t READ_ONLY",
    "TAB_COLUMNS": "TABLE_NAME COLUMN_NAME DATA_TYPE DATA_TYPE_OWNER DATA_LENGTH:n DATA_PRECISION:n DATA_SCALE:n NULLABLE "
    "COLUMN_ID:n INTERNAL_COLUMN_ID:n CHAR_LENGTH:n CHAR_USED HIDDEN_COLUMN VIRTUAL_COLUMN USER_GENERATED",
    "TAB_COMMENTS": "TABLE_NAME TABLE_TYPE COMMENTS:t",
    "TAB_PARTITIONS": "TABLE_NAME PARTITION_NAME PARTITION_POSITION:n",
    "PART_TABLES": "TABLE_NAME PARTITIONING_TYPE PARTITION_COUNT:n",
    "DEPENDENCIES": "NAME TYPE REFERENCED_OWNER REFERENCED_NAME REFERENCED_TYPE REFERENCED_LINK_NAME DEPENDENCY_TYPE",
    "PROCEDURES": "OBJECT_NAME PROCEDURE_NAME OBJECT_TYPE",
    "MVIEWS": "MVIEW_NAME CONTAINER_NAME",
    "EXTERNAL_TABLES": "TABLE_NAME TYPE_NAME",
    "SYNONYMS": "SYNONYM_NAME TABLE_OWNER TABLE_NAME DB_LINK",
}
_COLUMNS_OF_THINGS["TAB_COLS"] = _COLUMNS_OF_THINGS["TAB_COLUMNS"]


def _users(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for user in database.users.values():
        status = "EXPIRED" if user.expired or database.overdue(user) else "OPEN"
        if user.locked:
            status = "LOCKED" if status == "OPEN" else f"{status} & LOCKED"
        if database.rolling(user):
            status += " & IN ROLLOVER"
        kind = "PASSWORD" if user.password else "NONE"
        own = "Y" if user.maintained else "N"
        common = "YES" if user.maintained else "NO"
        versions = "11G 12C" if user.password else None
        yield (user.name, user.number, None, status, user.locked, None, "USERS", "TEMP", user.created, user.profile, kind,
               common, own, versions, user.changed)  # fmt: skip


def _all_users(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for user in database.users.values():
        yield (user.name, user.number, user.created, "YES" if user.maintained else "NO", "Y" if user.maintained else "N")


def _profiles(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for profile in database.profiles.values():
        for resource, limit in profile.limits.items():
            kind = (
                "PASSWORD"
                if "PASSWORD" in resource or resource in ("FAILED_LOGIN_ATTEMPTS", "INACTIVE_ACCOUNT_TIME")
                else "KERNEL"
            )
            yield (profile.name, resource, kind, limit, "NO")


def _tab_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for grant in database.object_grants:
        if grant.columns:
            continue
        kind = database.objects[grant.owner, grant.name].kind
        given = "YES" if grant.grantable else "NO"
        yield (grant.grantee, grant.owner, grant.name, grant.grantor, grant.privilege, given, "NO", "NO", kind, "NO")


def _col_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for grant in database.object_grants:
        for column in grant.columns:
            given = "YES" if grant.grantable else "NO"
            yield (grant.grantee, grant.owner, grant.name, column, grant.grantor, grant.privilege, given)


def _all_tab_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for grantee, owner, name, grantor, privilege, given, hierarchy, common, kind, inherited in _tab_privs(database, who):
        if who.user in (owner, grantor) or grantee in who.names:
            yield (grantor, grantee, owner, name, privilege, given, hierarchy, common, kind, inherited)


def _user_tab_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    return (row for row in _tab_privs(database, who) if who.user in (row[0], row[1], row[3]))


def _sys_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for (grantee, privilege), admin in database.system_grants.items():
        yield (grantee, privilege, "YES" if admin else "NO", "NO", "NO")


def _role_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    for (grantee, role), admin in database.role_grants.items():
        yield (grantee, role, "YES" if admin else "NO", "NO", "YES", "NO", "NO")


def _session_privs(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    yield from ((privilege,) for privilege in sorted({one for name, one in database.system_grants if name in who.names}))


_PLAIN: dict[str, Callable[[Database, Who], Rows]] = {
    "DBA_USERS": _users,
    "ALL_USERS": _all_users,
    "DBA_ROLES": lambda database, who: ((role, "NO", "NONE") for role in sorted(database.roles)),
    "DBA_PROFILES": _profiles,
    "DBA_TAB_PRIVS": _tab_privs,
    "ALL_TAB_PRIVS": _all_tab_privs,
    "USER_TAB_PRIVS": _user_tab_privs,
    "DBA_COL_PRIVS": _col_privs,
    "DBA_SYS_PRIVS": _sys_privs,
    "USER_SYS_PRIVS": lambda database, who: (row for row in _sys_privs(database, who) if row[0] in (who.user, "PUBLIC")),
    "DBA_ROLE_PRIVS": _role_privs,
    "USER_ROLE_PRIVS": lambda database, who: (row for row in _role_privs(database, who) if row[0] in (who.user, "PUBLIC")),
    "SESSION_PRIVS": _session_privs,
    "SESSION_ROLES": lambda database, who: ((role,) for role in sorted(who.roles)),
}
_TAB_PRIVS = "GRANTEE OWNER TABLE_NAME GRANTOR PRIVILEGE GRANTABLE HIERARCHY COMMON TYPE INHERITED"
_DESCRIBED: dict[str, str] = {
    "DBA_USERS": "USERNAME USER_ID:n PASSWORD ACCOUNT_STATUS LOCK_DATE:d EXPIRY_DATE:d DEFAULT_TABLESPACE TEMPORARY_TABLESPACE "
    "CREATED:d PROFILE AUTHENTICATION_TYPE COMMON ORACLE_MAINTAINED PASSWORD_VERSIONS PASSWORD_CHANGE_DATE:d",
    "ALL_USERS": "USERNAME USER_ID:n CREATED:d COMMON ORACLE_MAINTAINED",
    "DBA_ROLES": "ROLE PASSWORD_REQUIRED AUTHENTICATION_TYPE",
    "DBA_PROFILES": "PROFILE RESOURCE_NAME RESOURCE_TYPE LIMIT COMMON",
    "DBA_TAB_PRIVS": _TAB_PRIVS,
    "ALL_TAB_PRIVS": "GRANTOR GRANTEE TABLE_SCHEMA TABLE_NAME PRIVILEGE GRANTABLE HIERARCHY COMMON TYPE INHERITED",
    "USER_TAB_PRIVS": _TAB_PRIVS,
    "DBA_COL_PRIVS": "GRANTEE OWNER TABLE_NAME COLUMN_NAME GRANTOR PRIVILEGE GRANTABLE",
    "DBA_SYS_PRIVS": "GRANTEE PRIVILEGE ADMIN_OPTION COMMON INHERITED",
    "USER_SYS_PRIVS": "USERNAME PRIVILEGE ADMIN_OPTION COMMON INHERITED",
    "DBA_ROLE_PRIVS": "GRANTEE GRANTED_ROLE ADMIN_OPTION DELEGATE_OPTION DEFAULT_ROLE COMMON INHERITED",
    "USER_ROLE_PRIVS": "USERNAME GRANTED_ROLE ADMIN_OPTION DELEGATE_OPTION DEFAULT_ROLE COMMON INHERITED",
    "SESSION_PRIVS": "PRIVILEGE",
    "SESSION_ROLES": "ROLE",
    **{
        f"{scope}_{name}": columns if scope == "USER" else f"OWNER {columns}"
        for name, columns in _COLUMNS_OF_THINGS.items()
        for scope in ("DBA", "ALL", "USER")
    },
}
