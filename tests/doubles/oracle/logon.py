"""Who may come in, and with which of a user's passwords."""

from __future__ import annotations

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import Who, holds, roles_of
from tests.doubles.oracle.state import Database


def passwords_of(database: Database, name: str) -> list[str]:
    """What opens this user: none, one, or two during a rollover."""
    user = database.users.get(name)
    if user is None:
        return []
    both = (user.password, user.older_password if database.rolling(user) else None)
    return [password for password in both if password]


def log_on(database: Database, name: str, password: str | None) -> frozenset[str]:
    """The roles of the new session. Raises `Fault` 1017, 1109, 28000, 28001, 1045."""
    user = database.users.get(name)
    if database.closed:
        raise Fault(1109)
    if user is None:
        raise Fault(1017)
    if user.locked:
        raise Fault(28000)
    if password not in passwords_of(database, name):
        user.failed_logins += 1
        allowed = database.limit(user, "FAILED_LOGIN_ATTEMPTS")
        if allowed != "UNLIMITED" and user.failed_logins >= int(allowed):
            user.locked = database.now()
        raise Fault(1017)
    if user.expired or database.overdue(user):
        raise Fault(28001)
    roles = roles_of(database, name)
    if not holds(database, Who(name, roles), "CREATE SESSION"):
        raise Fault(1045, name)
    user.failed_logins = 0
    return roles
