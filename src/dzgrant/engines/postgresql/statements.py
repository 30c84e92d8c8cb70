"""The statements that change access, as text for the server.

PostgreSQL binds no values in these, so names and literals are quoted here: always, and by the dialect's own rules.
`_sql` is the only place where a name becomes a part of a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import String
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from dzgrant.engines.contract import Readable
from dzgrant.engines.marker import Marker
from dzgrant.model import ALTERNATE, Table

DIALECT = dialect()  # type: ignore[no-untyped-call]
_identifier: Callable[[str], str] = DIALECT.identifier_preparer.quote_identifier
_literal: Callable[[str], str] = String().literal_processor(DIALECT)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str


_Part = str | Table | _Literal | list[_Literal] | tuple[str, ...]


def _quoted(part: _Part) -> str:
    match part:
        case Table():
            return f"{_identifier(part.schema)}.{_identifier(part.name)}"
        case _Literal():
            return _literal(part.text)
        case list():
            return ", ".join(_literal(one.text) for one in part)
        case tuple():
            return ", ".join(map(_identifier, part))
        case _:
            return _identifier(part)


def _sql(words: str, **parts: _Part) -> str:
    """The words, with each `{part}` quoted: strings as identifiers, a table as two, literals as literals."""
    return words.format_map({name: _quoted(part) for name, part in parts.items()})


BEGIN = "BEGIN"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"


def login_key(login: str) -> str:
    """One for both logins of a principal, which share its views."""
    return f"dzgrant login {login.removesuffix(ALTERNATE)}"


def table_key(table: Table) -> str:
    return f"dzgrant table {table}"


PARENTS_KEY = "dzgrant schemas and database"


def lock(*keys: str) -> str:
    """Holds an advisory lock for each key until the transaction ends, taken in this order.

    Everyone takes the login's first, then the tables' in their order, the parents' last: so no two wait for each other.
    """
    words = "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(ARRAY[{keys}]) AS key"
    return _sql(words, keys=[_Literal(key) for key in keys])


def create_login(login: str, verifier: SecretStr | None) -> str:
    return _with_password("CREATE ROLE {login} LOGIN", login, verifier)


def set_password(login: str, verifier: SecretStr | None) -> str:
    return _with_password("ALTER ROLE {login} LOGIN", login, verifier)


def _with_password(words: str, login: str, verifier: SecretStr | None) -> str:
    if verifier is None:
        return _sql(f"{words} PASSWORD NULL", login=login)
    return _sql(f"{words} PASSWORD {{verifier}}", login=login, verifier=_Literal(verifier.get_secret_value()))


def let_in_by_iam(login: str) -> str:
    """From now on RDS takes an IAM token as the login's password, and nothing else."""
    return _sql("GRANT rds_iam TO {login}", login=login)


def shut_out_of_iam(login: str) -> str:
    return _sql("REVOKE rds_iam FROM {login}", login=login)


def disable(login: str) -> str:
    return _sql("ALTER ROLE {login} NOLOGIN", login=login)


def mark(login: str, marker: Marker) -> str:
    return _sql("COMMENT ON ROLE {login} IS {marker}", login=login, marker=_Literal(str(marker)))


def grant_connect(database: str, grantee: str) -> str:
    return _sql("GRANT CONNECT ON DATABASE {database} TO {grantee}", database=database, grantee=grantee)


def grant_usage(schema: str, grantee: str) -> str:
    return _sql("GRANT USAGE ON SCHEMA {schema} TO {grantee}", schema=schema, grantee=grantee)


def grant_create(database: str, grantee: str) -> str:
    return _sql("GRANT CREATE ON DATABASE {database} TO {grantee}", database=database, grantee=grantee)


def grant_select(table: Table, grantee: str) -> str:
    return _sql("GRANT SELECT ON TABLE {table} TO {grantee}", table=table, grantee=grantee)


def grant_columns(table: Table, columns: tuple[str, ...], grantee: str) -> str:
    words = "GRANT SELECT ({columns}) ON TABLE {table} TO {grantee}"
    return _sql(words, columns=columns, table=table, grantee=grantee)


def create_place(place: str, marker: str) -> str:
    words = "CREATE SCHEMA {place}; COMMENT ON SCHEMA {place} IS {marker}"
    return _sql(words, place=place, marker=_Literal(marker))


def drop_place(place: str) -> str:
    return _sql("DROP SCHEMA {place} RESTRICT", place=place)


def create_view(view: Table, select: str, comment: str) -> str:
    """A barrier: no function of the reader's is shown a row that the view hides (PostgreSQL manual, 41.5)."""
    # The SELECT is SQLAlchemy's, quoted already; its braces are nobody's places.
    create = _sql("CREATE VIEW {view} WITH (security_barrier) AS ", view=view) + select
    return f"{create};\n" + _sql("COMMENT ON VIEW {view} IS {comment}", view=view, comment=_Literal(comment))


def drop_view(view: Table) -> str:
    return _sql("DROP VIEW {view} RESTRICT", view=view)


def revoke_table(table: Table, login: str) -> str:
    """Takes the privileges on its columns away as well (PostgreSQL manual, REVOKE)."""
    return _sql("REVOKE ALL PRIVILEGES ON TABLE {table} FROM {login}", table=table, login=login)


def revoke(rights: str, thing: str | None, login: str) -> str:
    """Words of the server's own, quoted by it: rights on a thing, those on a table from its columns too; or a role."""
    words = f"REVOKE {rights} ON {thing} FROM " if thing else f"REVOKE {rights} FROM "
    return words + _sql("{login}", login=login)


def take_attribute(attribute: str, login: str) -> str:
    """`attribute` is a word of the server's: CREATEDB."""
    return _sql(f"ALTER ROLE {{login}} NO{attribute}", login=login)


def act_as(role: str) -> str:
    """Only the grantor can revoke; GRANTED BY takes no other role than the current one (PostgreSQL manual, REVOKE)."""
    return _sql("SET LOCAL ROLE {role}", role=role)


ACT_AS_ONESELF = "RESET ROLE"


def join(login: str, server_version: int) -> str:
    """Makes the admin a member with the login's own rights, which DROP OWNED asks for."""
    words = "GRANT {login} TO CURRENT_USER"
    # From 16 on the maker of a role administers it but neither inherits nor can become it.
    return _sql(f"{words} WITH INHERIT TRUE, SET TRUE" if server_version >= 16 else words, login=login)


def part(login: str) -> str:
    """Takes back what `join` gave."""
    return _sql("REVOKE {login} FROM CURRENT_USER", login=login)


def drop_owned(login: str) -> str:
    """Drops what the login owns, too: sent only when it owns nothing, to take the remaining privileges away."""
    return _sql("DROP OWNED BY {login} RESTRICT", login=login)


def drop_login(login: str) -> str:
    return _sql("DROP ROLE {login}", login=login)


def read_nothing(readable: Readable) -> str:
    """Needs SELECT on each of its columns, and fetches no row."""
    if readable.columns is None:
        return _sql("SELECT * FROM {table} LIMIT 0", table=readable.table)
    return _sql("SELECT {columns} FROM {table} LIMIT 0", columns=readable.columns, table=readable.table)
