"""More functions of T-SQL: of texts, passwords, properties, locks, and of the error that a CATCH block caught."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.functions import FUNCTIONS, function
from tests.doubles.sqlserver.model.instance import now
from tests.doubles.sqlserver.model.passwords import fits, hashed
from tests.doubles.sqlserver.sql.types import DATETIME2, INT, NVARCHAR, SMALLINT, VARBINARY, Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session


@function(VARBINARY)
def pwdencrypt(session: Session, password: str) -> Value:
    return hashed(password)


@function(INT)
def pwdcompare(session: Session, password: str, hash_: bytes) -> Value:
    return int(fits(password, hash_))


@function(NVARCHAR)
def loginproperty(session: Session, name: str, wanted: str) -> Value:
    login = session.instance.login(name)
    if login is None:
        return None
    answers: dict[str, Value] = {"islocked": 0, "isexpired": 0, "ismustchange": 0, "defaultdatabase": login.database}
    if wanted.lower() == "passwordhash":
        return login.hash if session.may("CONTROL SERVER") else None
    return answers.get(wanted.lower())


@function(NVARCHAR)
def serverproperty(session: Session, wanted: str) -> Value:
    collation = "SQL_Latin1_General_CP1_CI_AS"
    answers: dict[str, Value] = {
        "productversion": "12.0.2000.8" if session.instance.babelfish else "16.0.1000.6",
        "productmajorversion": "12" if session.instance.babelfish else "16",
        "edition": "Double",
        "engineedition": 3,
        "collation": collation,
        "servername": "DOUBLE",
        "machinename": "DOUBLE",
        "ishadrenabled": 0,
        "isintegratedsecurityonly": 0,
        "babelfish": 1 if session.instance.babelfish else None,
    }
    return answers.get(wanted.lower())


@function(NVARCHAR)
def databasepropertyex(session: Session, name: str, wanted: str) -> Value:
    found = session.instance.database(name)
    if found is None:
        return None
    answers: dict[str, Value] = {
        "status": found.state,
        "updateability": "READ_ONLY" if found.read_only else "READ_WRITE",
        "collation": found.collation if found.state == "ONLINE" else None,
        "useraccess": "MULTI_USER",
        "recovery": "FULL",
    }
    return answers.get(wanted.lower())


@function(Type("nvarchar", 258))
def quotename(session: Session, name: str | None, quote: str = "[") -> Value:
    if name is None or len(name) > 128:
        return None
    opening, closing = {"[": ("[", "]"), "]": ("[", "]"), '"': ('"', '"'), "'": ("'", "'")}[quote]
    return opening + name.replace(closing, closing * 2) + closing


@function(INT)
def len_(session: Session, text: Value) -> Value:
    return None if text is None else len(str(text).rstrip(" "))


FUNCTIONS["LEN"] = FUNCTIONS.pop("LEN_")


@function(INT)
def datalength(session: Session, value: Value) -> Value:
    return len(value) if isinstance(value, bytes) else None if value is None else 2 * len(str(value))


@function(NVARCHAR)
def concat(session: Session, *parts: Value) -> Value:
    return "".join("" if part is None else str(part) for part in parts)


@function(NVARCHAR)
def parsename(session: Session, name: str, part: int) -> Value:
    parts = session.parts(name)
    return parts[-part] if parts and part <= len(parts) else None


@function(DATETIME2)
def sysutcdatetime(session: Session) -> Value:
    return now()


FUNCTIONS["GETUTCDATE"] = FUNCTIONS["GETDATE"] = FUNCTIONS["SYSDATETIME"] = FUNCTIONS["CURRENT_TIMESTAMP"] = FUNCTIONS[
    "SYSUTCDATETIME"
]


@function(VARBINARY)
def crypt_gen_random(session: Session, count: int) -> Value:
    return secrets.token_bytes(count)


@function(NVARCHAR)
def applock_mode(session: Session, principal: str, resource: str, owner: str) -> Value:
    held = session.instance.locks.holds(session.lock_owner(owner), session.lock_name(resource, principal))
    return "Exclusive" if held else "NoLock"


@function(INT)
def applock_test(session: Session, principal: str, resource: str, mode: str, owner: str) -> Value:
    holder = session.lock_owner(owner)
    return int(session.instance.locks.free_for(holder, session.lock_name(resource, principal)))


@function(INT)
def error_number(session: Session) -> Value:
    return session.caught.number if session.caught else None


@function(INT)
def error_state(session: Session) -> Value:
    return session.caught.state if session.caught else None


@function(NVARCHAR)
def error_message(session: Session) -> Value:
    return session.caught.text if session.caught else None


@function(SMALLINT)
def xact_state(session: Session) -> Value:
    return 1 if session.client.transaction else 0
