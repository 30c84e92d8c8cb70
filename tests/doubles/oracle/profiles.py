"""CREATE, ALTER and DROP PROFILE: "CREATE PROFILE", SQL Language Reference 19c. Times are in days."""

from __future__ import annotations

from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import require
from tests.doubles.oracle.state import Database, Profile


def create_profile(acting: Acting, at: Cursor) -> None:
    name = profile_name(at)
    at.need("LIMIT", code=2381)
    limits = _limits(acting.database, at)
    require(acting.database, acting.who, "CREATE PROFILE")
    if name in acting.database.profiles:
        raise Fault(2379, name)
    acting.database.profiles[name] = Profile(
        name, dict.fromkeys(acting.database.profiles["DEFAULT"].limits, "DEFAULT") | limits
    )


def alter_profile(acting: Acting, at: Cursor) -> None:
    name = profile_name(at)
    at.need("LIMIT", code=2381)
    limits = _limits(acting.database, at)
    require(acting.database, acting.who, "ALTER PROFILE")
    profile_of(acting.database, name).limits.update(limits)


def drop_profile(acting: Acting, at: Cursor) -> None:
    name = profile_name(at)
    cascade = at.take("CASCADE")
    at.end()
    database = acting.database
    require(database, acting.who, "DROP PROFILE")
    profile_of(database, name)
    if name == "DEFAULT":
        raise Fault(2381)
    users = [user for user in database.users.values() if user.profile == name]
    if users and not cascade:
        raise Fault(2382, name)
    for user in users:
        user.profile = "DEFAULT"
    del database.profiles[name]


def _limits(database: Database, at: Cursor) -> dict[str, str]:
    limits: dict[str, str] = {}
    known = database.profiles["DEFAULT"].limits
    while not at.done:
        resource = at.word.text
        if resource not in known or resource in limits:
            raise at.fault(2376)
        at.next()
        limits[resource] = _limit(database, at, resource)
    if not limits:
        raise at.fault(2376)
    return limits


def _limit(database: Database, at: Cursor, resource: str) -> str:
    """A number, which for times is in days and may be a fraction such as `1/24`, or UNLIMITED, DEFAULT, or a function."""
    if word := at.one_of("UNLIMITED", "DEFAULT"):
        if word == "UNLIMITED" and resource in ("PASSWORD_VERIFY_FUNCTION", "PASSWORD_ROLLOVER_TIME"):
            raise Fault(2377, resource)
        return word
    if resource == "PASSWORD_VERIFY_FUNCTION":
        if at.take("NULL"):
            return "NULL"
        if (function := at.name(2377)) not in database.verify_functions:
            raise Fault(7443, function)
        return function
    if at.word.kind != "number":
        raise Fault(2377, resource)
    value = float(at.next().text)
    if at.take("/"):
        value /= at.number(2377)
    if resource == "PASSWORD_ROLLOVER_TIME" and value and not 1 / 24 <= value <= 60:
        raise Fault(2377, resource)
    return str(int(value)) if value.is_integer() else str(value)


def profile_name(at: Cursor) -> str:
    """DEFAULT is a reserved word, and a profile."""
    return "DEFAULT" if at.take("DEFAULT") else at.name(2381)


def profile_of(database: Database, name: str) -> Profile:
    if name not in database.profiles:
        raise Fault(2380, name)
    return database.profiles[name]
