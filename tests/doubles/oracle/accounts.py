"""CREATE, ALTER and DROP USER and ROLE. "SQL Statements", SQL Language Reference 19c.

A password is written as an identifier: in double quotes unless it could be a name, never as a string.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.profiles import profile_name, profile_of
from tests.doubles.oracle.rights import require
from tests.doubles.oracle.state import Database, User

_LONGEST_PASSWORD = 30  # bytes, before 23ai
_TABLESPACES = ("USERS", "SYSTEM", "SYSAUX")
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(slots=True)
class _Options:
    password: str | None = None
    without_password: bool = False
    profile: str | None = None
    lock: bool | None = None
    expire: bool = False
    end_rollover: bool = False
    quotas: dict[str, int] = field(default_factory=dict)


def create_user(acting: Acting, at: Cursor) -> None:
    name = at.name(1935)
    options = _options(acting, at, altering=False)
    database = acting.database
    require(database, acting.who, "CREATE USER")
    _common_or_local(acting, name)
    if name in database.users or name in database.roles:
        raise Fault(1920, name)
    if options.password is None and not options.without_password:
        raise Fault(1935) if options == _Options() else Fault(988)
    profile = profile_of(database, options.profile or "DEFAULT")
    draft = User(name, 0, database.now(), None, profile=profile.name)
    _verify(database, draft, options.password)
    user = database.add_user(name, options.password)
    user.profile = profile.name
    _apply(database, user, options)


def alter_user(acting: Acting, at: Cursor) -> None:
    name = at.name(1935)
    options = _options(acting, at, altering=True)
    database = acting.database
    own = name == acting.who.user and options == _Options(password=options.password)
    if not own:
        require(database, acting.who, "ALTER USER")
    user = database.user(name)
    if name == "SYS" and acting.who.user != "SYS":
        raise Fault(1031)
    if options.profile:
        user.profile = profile_of(database, options.profile).name
    if options.password is not None:
        _verify(database, user, options.password)
        _change(database, user, options.password)
    elif options.without_password:
        user.password, user.older_password = None, None
    _apply(database, user, options)


def drop_user(acting: Acting, at: Cursor) -> None:
    name = at.name(1935)
    cascade = at.take("CASCADE")
    at.end()
    database = acting.database
    require(database, acting.who, "DROP USER")
    user = database.user(name)
    if user.maintained:
        raise Fault(28014)
    if any(one.user == name for one in database.sessions.values()):
        raise Fault(1940)
    owned = database.owned_by(name)
    if owned and not cascade:
        raise Fault(1922, name)
    for thing in owned:
        database.forget(thing)
    del database.users[name]
    _forget_grants(database, name)


def create_role(acting: Acting, at: Cursor) -> None:
    name = at.name(1937)
    at.take("NOT", "IDENTIFIED")
    at.end()
    database = acting.database
    require(database, acting.who, "CREATE ROLE")
    if name in database.users or name in database.roles:
        raise Fault(1921, name)
    database.roles.add(name)
    database.role_grants[acting.who.user, name] = True


def drop_role(acting: Acting, at: Cursor) -> None:
    name = at.name(1937)
    at.end()
    database = acting.database
    if name not in database.roles:
        raise Fault(1919, name)
    if not database.role_grants.get((acting.who.user, name)):
        require(database, acting.who, "DROP ANY ROLE")
    database.roles.remove(name)
    _forget_grants(database, name)
    database.role_grants = {pair: admin for pair, admin in database.role_grants.items() if pair[1] != name}


def _options(acting: Acting, at: Cursor, *, altering: bool) -> _Options:
    """The clauses after the name, in any order, each once. Raises `Fault` 922."""
    options = _Options()
    seen: set[str] = set()
    while not at.done:
        start = at.at
        _option(acting.database, at, options, altering=altering)
        clause = " ".join(word.text for word in at.since(start)[:2])
        if clause in seen and not clause.startswith("QUOTA"):
            raise at.fault(922)
        seen.add(clause)
    if not seen and altering:
        raise at.fault(922)
    return options


def _option(database: Database, at: Cursor, options: _Options, *, altering: bool) -> None:
    if at.take("IDENTIFIED", "BY"):
        options.password = _password(at)
        if altering and at.take("REPLACE"):
            _password(at)
    elif at.take("NO", "AUTHENTICATION") and database.compatible_with(18):
        options.without_password = True
    elif at.take("PROFILE"):
        options.profile = profile_name(at)
    elif at.take("ACCOUNT"):
        state = at.one_of("LOCK", "UNLOCK")
        if state is None:
            raise at.fault(922)
        options.lock = state == "LOCK"
    elif at.take("PASSWORD", "EXPIRE"):
        options.expire = True
    elif not (altering and _option_of_alter(at, options)):
        _option_of_place(at, options)


def _option_of_alter(at: Cursor, options: _Options) -> bool:
    if at.take("EXPIRE", "PASSWORD", "ROLLOVER", "PERIOD"):
        options.end_rollover = True
        return True
    if not at.take("DEFAULT", "ROLE"):
        return False
    if not at.one_of("NONE", "ALL"):
        raise at.fault(3001)
    return True


def _option_of_place(at: Cursor, options: _Options) -> None:
    if at.take("DEFAULT", "TABLESPACE") or at.take("TEMPORARY", "TABLESPACE"):
        _tablespace(at, *_TABLESPACES, "TEMP")
    elif at.take("QUOTA"):
        size = -1 if at.take("UNLIMITED") else _bytes(at)
        at.need("ON", code=922)
        options.quotas[_tablespace(at, *_TABLESPACES)] = size
    elif not at.take("CONTAINER", "=", "CURRENT"):
        raise at.fault(922)


def _password(at: Cursor) -> str:
    if at.word.kind not in ("quoted", "name"):
        raise at.fault(988)
    word = at.next()
    # Unlike a name, an unquoted password keeps its case.
    password = word.text if word.kind == "quoted" else word.raw
    if len(password.encode()) > _LONGEST_PASSWORD:
        raise Fault(972, offset=word.offset)
    return password


def _bytes(at: Cursor) -> int:
    size = at.number(2187)
    unit = at.one_of(*_UNITS)
    return size * _UNITS[unit] if unit else size


def _tablespace(at: Cursor, *known: str) -> str:
    name = at.name(922)
    if name not in known:
        raise Fault(959, name)
    return name


def _verify(database: Database, user: User, password: str | None) -> None:
    function = database.limit(user, "PASSWORD_VERIFY_FUNCTION")
    shortest = database.verify_functions.get(function, 0)
    if password is not None and len(password) < shortest:
        raise Fault(28003, shortest)
    kept = database.limit(user, "PASSWORD_REUSE_MAX")
    if password is not None and kept != "UNLIMITED" and password in user.used_passwords[-int(kept) :]:
        raise Fault(28007)


def _change(database: Database, user: User, password: str) -> None:
    """During a rollover the oldest password stays and its clock runs on; else one begins, if the profile has a time for it."""
    if not database.rolling(user):
        rollover = float(database.limit(user, "PASSWORD_ROLLOVER_TIME")) > 0
        user.older_password = user.password if rollover and user.password != password else None
        user.changed = database.now()
    user.password = password
    user.used_passwords.append(password)
    user.expired = False


def _apply(database: Database, user: User, options: _Options) -> None:
    if options.end_rollover:
        user.older_password = None
    if options.lock is not None:
        user.locked = database.now() if options.lock else None
        user.failed_logins = 0 if not options.lock else user.failed_logins
    user.expired = user.expired or options.expire
    user.quotas |= options.quotas


def _common_or_local(acting: Acting, name: str) -> None:
    in_root = acting.presence.container == acting.database.root
    if in_root and not name.upper().startswith("C##"):
        raise Fault(65096)
    if not in_root and name.upper().startswith("C##"):
        raise Fault(65094)


def _forget_grants(database: Database, name: str) -> None:
    """What it was granted goes, and what it granted on objects of others."""
    database.object_grants = [grant for grant in database.object_grants if name not in (grant.grantee, grant.grantor)]
    database.system_grants = {pair: admin for pair, admin in database.system_grants.items() if pair[0] != name}
    database.role_grants = {pair: admin for pair, admin in database.role_grants.items() if pair[0] != name}
