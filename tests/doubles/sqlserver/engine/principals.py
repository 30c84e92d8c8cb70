"""Logins, users and roles: CREATE, ALTER and DROP of each, from their pages of the T-SQL reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.instance import SA, now
from tests.doubles.sqlserver.model.passwords import check_policy, hashed, is_hash
from tests.doubles.sqlserver.model.rows import Database, Login, PermissionKey, Transaction, User
from tests.doubles.sqlserver.sql.statements import Drop, LoginStatement, RoleStatement, UserStatement

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session


def change(session: Session, transaction: Transaction, statement: LoginStatement | UserStatement | RoleStatement) -> None:
    match statement:
        case LoginStatement(verb="CREATE"):
            _create_login(session, transaction, statement)
        case LoginStatement():
            _alter_login(session, transaction, statement)
        case UserStatement(verb="CREATE"):
            _create_user(session, transaction, statement)
        case UserStatement():
            _alter_user(session, transaction, statement)
        case RoleStatement(server=True):
            _server_role(session, transaction, statement)
        case RoleStatement():
            _role(session, transaction, statement)


def drop(session: Session, transaction: Transaction, statement: Drop) -> None:
    name = statement.path[0]
    if statement.kind == "LOGIN":
        _drop_login(session, transaction, name)
        return
    user = session.database.user(name)
    if user is None and statement.if_exists:
        return
    _drop_user(session, transaction, user, name, statement.kind)


def _password(session: Session, statement: LoginStatement, *, policy: bool) -> bytes:
    password = statement.password
    if isinstance(password, bytes):
        if not is_hash(password):
            raise SqlError(15021, "Invalid value given for parameter PASSWORD. Specify a valid parameter value.")
        return password
    assert password is not None
    if policy and session.instance.strict_policy:
        raise SqlError(15118)
    if policy:
        check_policy(password, statement.name)
    return hashed(password)


def _check_options(session: Session, statement: LoginStatement, *, policy: bool) -> None:
    babelfish_refuses = (
        statement.policy is not None or statement.expiration is not None or isinstance(statement.password, bytes)
    )
    if session.instance.babelfish and (babelfish_refuses or statement.sid is not None):
        raise SqlError(33557097, "'CHECK_POLICY, CHECK_EXPIRATION, SID, HASHED' is not currently supported in Babelfish")
    if statement.expiration and not policy:
        raise SqlError(15122)
    if statement.database is not None and session.instance.database(statement.database) is None:
        raise SqlError(15010, f"The database '{statement.database}' does not exist.")


def _create_login(session: Session, transaction: Transaction, statement: LoginStatement) -> None:
    instance = session.instance
    if not session.may("ALTER ANY LOGIN"):
        raise SqlError(15247)
    if instance.login(statement.name) is not None:
        raise SqlError(15025, statement.name)
    policy = statement.policy is not False and not instance.babelfish
    _check_options(session, statement, policy=policy)
    if statement.sid is not None and len(statement.sid) != 16:
        raise SqlError(15419, "Supplied parameter sid should be binary(16).")
    if statement.sid is not None and instance.login_of(statement.sid) is not None:
        raise SqlError(15433)
    login = instance.new_login(
        statement.name,
        _password(session, statement, policy=policy),
        sid=statement.sid,
        policy=policy,
        expiration=bool(statement.expiration),
        database=statement.database or "master",
    )
    transaction.put(instance.logins, login.id, login)


def _alterable(session: Session, name: str, verb: str) -> Login:
    """Raises 15151 for a login that is not there, or not this session's to change."""
    login = session.instance.login(name)
    forbidden = login is None or login.kind == "R" or not session.may("ALTER ANY LOGIN")
    if login is None or forbidden or (session.instance.is_sysadmin(login) and not session.may("CONTROL SERVER")):
        raise SqlError(15151, verb, "login", name)
    return login


def _alter_login(session: Session, transaction: Transaction, statement: LoginStatement) -> None:
    login = _alterable(session, statement.name, "alter")
    policy = login.policy if statement.policy is None else statement.policy
    _check_options(session, statement, policy=policy)
    if statement.renamed is not None and session.instance.login(statement.renamed) is not None:
        raise SqlError(15025, statement.renamed)
    changed = replace(
        login,
        name=statement.renamed or login.name,
        hash=login.hash if statement.password is None else _password(session, statement, policy=policy),
        policy=policy,
        expiration=login.expiration if statement.expiration is None else statement.expiration,
        disabled=login.disabled if statement.enabled is None else not statement.enabled,
        database=statement.database or login.database,
        language=statement.language or login.language,
    )
    transaction.put(session.instance.logins, login.id, changed)


def _drop_login(session: Session, transaction: Transaction, name: str) -> None:
    instance, login = session.instance, _alterable(session, name, "drop")
    if any(client.login.id == login.id for client in instance.clients.values()):
        raise SqlError(15434, login.name)
    if any(database.owner == login.sid for database in instance.databases.values()):
        raise SqlError(15174, login.name)
    if any(grantor == login.id for _, grantor in instance.permissions.values()):
        raise SqlError(15173, login.name)
    of_login = ("SERVER_PRINCIPAL", login.id)
    for key in [key for key in instance.permissions if key[2] == login.id or key[:2] == of_login]:
        transaction.put(instance.permissions, key, None)
    for role in [key for key in instance.role_members if key[1] == login.id]:
        transaction.put(instance.role_members, role, None)
    transaction.put(instance.logins, login.id, None)


def _check_user_rights(session: Session) -> None:
    if not rights.in_database(session.database, session.user, "ALTER ANY USER"):
        raise SqlError(15247)


def _mapped_sid(session: Session, name: str) -> bytes:
    """The SID of a login that has no user here yet. Raises 15007 or 15063."""
    login = session.instance.login(name)
    if login is None or login.kind == "R" or not rights.sees_login(session.instance, session.client, login):
        raise SqlError(15007, name)
    if session.database.user_of(login.sid) is not None:
        raise SqlError(15063)
    return login.sid


def _create_user(session: Session, transaction: Transaction, statement: UserStatement) -> None:
    database = session.database
    _check_user_rights(session)
    if database.user(statement.name) is not None:
        raise SqlError(15023, statement.name)
    sid = None if statement.without_login else _mapped_sid(session, statement.login or statement.name)
    user = User(
        id=next(session.instance.numbers),
        name=statement.name,
        kind="S",
        sid=sid,
        schema=statement.schema or "dbo",
        created=now(),
    )
    transaction.put(database.users, user.id, user)
    transaction.put(database.permissions, PermissionKey("DATABASE", 0, 0, user.id, "CONNECT", 1), "G")


def _alter_user(session: Session, transaction: Transaction, statement: UserStatement) -> None:
    database = session.database
    user = database.user(statement.name)
    if user is None or user.kind == "R" or not rights.in_database(database, session.user, "ALTER ANY USER"):
        raise SqlError(15151, "alter", "user", statement.name)
    if statement.renamed is not None and database.user(statement.renamed) is not None:
        raise SqlError(15023, statement.renamed)
    sid = user.sid
    if statement.login is not None:
        login = session.instance.login(statement.login)
        sid = user.sid if login and login.sid == user.sid else _mapped_sid(session, statement.login)
    changed = replace(user, name=statement.renamed or user.name, sid=sid, schema=statement.schema or user.schema)
    transaction.put(database.users, user.id, changed)


def _drop_user(session: Session, transaction: Transaction, user: User | None, name: str, kind: str) -> None:
    database = session.database
    needed = "ALTER ANY USER" if kind == "USER" else "ALTER ANY ROLE"
    is_kind = user is not None and (user.kind == "R") == (kind == "ROLE")
    if user is None or not is_kind or user.id <= 4 or user.fixed or not rights.in_database(database, session.user, needed):
        raise SqlError(15151, "drop", kind.lower(), name)
    if any(schema.owner == user.id for schema in database.schemas.values()):
        raise SqlError(15138, "schema")
    if any(role.owner == user.id and role.kind == "R" for role in database.users.values()):
        raise SqlError(15421)
    if any(key.grantor == user.id for key in database.permissions):
        raise SqlError(15284)
    of_user = ("DATABASE_PRINCIPAL", user.id)
    for key in [key for key in database.permissions if key.grantee == user.id or (key.kind, key.major) == of_user]:
        transaction.put(database.permissions, key, None)
    for member in [pair for pair in database.members if user.id in pair]:
        transaction.put(database.members, member, None)
    for named in [named for named in database.properties if named[:2] == (4, user.id)]:
        transaction.put(database.properties, named, None)
    transaction.put(database.users, user.id, None)


def _server_role(session: Session, transaction: Transaction, statement: RoleStatement) -> None:
    instance = session.instance
    role, member = instance.login(statement.name), instance.login(statement.other or "")
    # All that the double has are fixed ones: for their own members to change, and sysadmin's ("ALTER SERVER ROLE").
    me = session.client.login
    allowed = role is not None and (instance.is_sysadmin(me) or (role.id, me.id) in instance.role_members)
    if role is None or role.kind != "R" or not allowed:
        raise SqlError(15151, "alter", "server role", statement.name)
    if member is None:
        raise SqlError(15151, "add", "principal", statement.other)
    transaction.put(instance.role_members, (role.id, member.id), True if statement.verb == "ADD" else None)


def _role(session: Session, transaction: Transaction, statement: RoleStatement) -> None:
    database, found = session.database, session.database.user(statement.name)
    allowed = rights.in_database(database, session.user, "ALTER ANY ROLE")
    if statement.verb == "CREATE":
        _create_role(session, transaction, statement, database, allowed=allowed)
        return
    member = database.user(statement.other or "")
    if found is None or found.kind != "R" or not (allowed or found.owner in rights.roles_of(database, session.user)):
        raise SqlError(15151, "alter", "role", statement.name)
    if member is None:
        raise SqlError(15151, "add", "principal", statement.other)
    transaction.put(database.members, (found.id, member.id), True if statement.verb == "ADD" else None)


def _create_role(
    session: Session, transaction: Transaction, statement: RoleStatement, database: Database, *, allowed: bool
) -> None:
    if not allowed:
        raise SqlError(15247)
    if database.user(statement.name) is not None:
        raise SqlError(15023, statement.name)
    owner = database.user(statement.other) if statement.other else session.user
    if owner is None:
        raise SqlError(15151, "find", "principal", statement.other)
    role = User(
        id=next(session.instance.numbers),
        name=statement.name,
        kind="R",
        sid=None,
        schema=None,
        owner=owner.id or SA,
        created=now(),
    )
    transaction.put(database.users, role.id, role)
