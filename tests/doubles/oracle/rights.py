"""Who may do what. A role counts in a session that has it enabled, never in a view, which works with its owner's own rights."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.state import PUBLIC, Database, Thing


@dataclass(frozen=True, slots=True)
class Who:
    """A user with the roles that are enabled."""

    user: str
    roles: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All that privileges may be granted to, so that this user has them."""
        return self.roles | {self.user, PUBLIC}


def roles_of(database: Database, user: str) -> frozenset[str]:
    """The roles that a new session enables: granted to the user or PUBLIC, directly or through roles."""
    found: set[str] = set()
    reached = {user, PUBLIC}
    while reached:
        granted = {role for grantee, role in database.role_grants if grantee in reached}
        reached = granted - found
        found |= granted
    return frozenset(found)


def holds(database: Database, who: Who, *privileges: str) -> bool:
    """Whether it has one of these system privileges; SYS has all."""
    return who.user == "SYS" or any((name, one) in database.system_grants for name in who.names for one in privileges)


def require(database: Database, who: Who, *privileges: str) -> None:
    if not holds(database, who, *privileges):
        raise Fault(1031)


def privileges_on(database: Database, who: Who, thing: Thing) -> set[str]:
    """The object privileges it was granted, or has as the owner."""
    if thing.owner == who.user:
        return {"SELECT", "READ", "INSERT", "UPDATE", "DELETE", "ALTER", "EXECUTE"}
    return {
        grant.privilege
        for grant in database.object_grants
        if (grant.owner, grant.name) == (thing.owner, thing.name) and grant.grantee in who.names and not grant.columns
    }


def reads(database: Database, who: Who, thing: Thing, *, locking: bool = False) -> bool:
    """Whether it may select from it; `locking`: for update too, which READ does not allow."""
    wanted = {"SELECT"} if locking else {"SELECT", "READ"}
    if privileges_on(database, who, thing) & wanted or who.user == "SYS":
        return True
    if thing.of_dictionary:
        return thing.kind == "VIEW" and ("SELECT_CATALOG_ROLE" in who.roles or holds(database, who, "SELECT ANY DICTIONARY"))
    return holds(database, who, "SELECT ANY TABLE", *(() if locking else ("READ ANY TABLE",)))


def sees(database: Database, who: Who, thing: Thing) -> bool:
    """Whether ALL_ views show it, and a refusal is ORA-01031 and not ORA-00942."""
    if privileges_on(database, who, thing) or reads(database, who, thing):
        return True
    anything = (
        "INSERT ANY TABLE",
        "UPDATE ANY TABLE",
        "DELETE ANY TABLE",
        "DROP ANY TABLE",
        "ALTER ANY TABLE",
        "LOCK ANY TABLE",
    )
    return not thing.of_dictionary and holds(database, who, *anything)


def may_give(database: Database, who: Who, thing: Thing, privilege: str) -> bool:
    """Whether the user itself, as the owner or with the grant option, may grant it; roles never count."""
    return thing.owner == who.user or any(
        grant.grantable and grant.grantee == who.user and grant.privilege == privilege
        for grant in database.object_grants
        if (grant.owner, grant.name) == (thing.owner, thing.name)
    )
