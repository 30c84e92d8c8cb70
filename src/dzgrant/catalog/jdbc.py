"""JDBC URLs: every form that a Glue connection holds, and the one source that each names.

The forms are those of the Glue developer guide ("JDBC connection URL"), of the drivers' own manuals, and of AWS's
sample. A URL that names several servers, or none for certain, is refused: the wrong server is worse than no server.

Words of other engines are those of the adapters that are installed beside dzgrant's own; their URLs are
`jdbc:WORD://host:port/database`, with the port.

A source's normal form: the engine's word is an adapter's name, the host is in lower case (IPv6 compressed, without
brackets), a missing port is the engine's default, and the database is '' where the URL names none (or `%`). Oracle's
is in upper case, since the listener ignores case: `ORCLPDB1` is a service, `SID:ORCL` a SID.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from ipaddress import IPv6Address
from urllib.parse import unquote

from dzgrant.errors import Unsupported
from dzgrant.model import Source

ENGINES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "aurora-postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "aurora": "mysql",
    "aurora-mysql": "mysql",
    "oracle": "oracle",
    "sqlserver": "sqlserver",
}
"""The engine's word in a URL, a connection or a secret, and the name that dzgrant has for it."""

PORTS = {"postgresql": 5432, "mysql": 3306, "oracle": 1521, "sqlserver": 1433}
NO_DATABASE = "%"
"""What a crawler's connection may hold in place of a database."""

_URL = re.compile(r"jdbc:(?:aws-wrapper:)?(?P<word>[a-z-]+):(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_HOST = r"(?P<host>\[[^\]]*\]|[^:/\\\[\]]*)"
_PORT = r"(?::(?P<port>[0-9]*))?"
_SLASHES = re.compile(r"(?:aurora:)?//(?P<authority>[^/?]*)(?:/(?P<path>[^?;]*))?(?:\?.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(_HOST + _PORT)
_SQLSERVER = re.compile(r"//(?P<server>[^/;]*)(?:/(?P<path>[^;]*))?(?P<properties>;.*)?", re.DOTALL)
_INSTANCE = re.compile(_HOST + r"(?:\\(?P<instance>[^:]*))?" + _PORT)
_BRACES = re.compile(r"\{((?:[^}]|\}\})*)\}\s*(?:;|$)")
_ORACLE = re.compile(
    _HOST + _PORT + r"(?::(?P<sid>[^:/]+)|/(?P<service>[^:/]+)(?::(?:dedicated|shared|pooled))?(?:/[^/]*)?)?/?", re.IGNORECASE
)
_SQLSERVER_SYNONYMS = {"database": "databasename", "server": "servername", "port": "portnumber"}
# No place for credentials: nothing that a user, a password or a property could follow.
_HARMLESS = re.compile(r"jdbc:[a-z0-9:-]*//[^@?;&(={]*", re.IGNORECASE)


class _Unreadable(ValueError):
    """Why a URL can't be read; the text is fixed and holds nothing of the URL."""


def parse(url: str) -> Source:
    """The source that a JDBC URL names. Raises `Unsupported` without the URL's credentials."""
    url = url.strip()
    try:
        return _read(url)
    except _Unreadable as problem:
        raise Unsupported(
            f"the JDBC URL {_shown(url)} {problem}",
            do="let the Glue connection name one server by host and port, and its database",
        ) from None


def source(word: str, host: str, port: str, database: str) -> Source:
    """The source of a Glue connection that holds HOST, PORT and DATABASE apart. Raises `Unsupported`."""
    try:
        return _source(_engine(word), host, port, database)
    except _Unreadable as problem:
        raise Unsupported(
            f"the Glue connection {problem}", do="correct its HOST, PORT and DATABASE, or give it a JDBC_CONNECTION_URL"
        ) from None


def _read(url: str) -> Source:
    found = _URL.fullmatch(url)
    engine = _engine(found["word"] if found else "")
    rest = found["rest"] if found else ""
    match engine:
        case "oracle":
            return _oracle(rest)
        case "sqlserver":
            return _sqlserver(rest)
        case _:
            return _with_path(engine, rest)


def engine_of(word: str) -> str | None:
    """dzgrant's name for the engine; None for a word that neither dzgrant nor an installed adapter knows."""
    word = word.lower()
    return ENGINES.get(word) or (word if word in _adapters() else None)


@cache
def _adapters() -> frozenset[str]:
    return frozenset(entry_points(group="dzgrant.engines").names)


def _engine(word: str) -> str:
    found = engine_of(word)
    if found is None:
        others = sorted(_adapters() - set(PORTS))
        known = ", ".join(["PostgreSQL", "MySQL", "MariaDB", "Oracle", "SQL Server", *others])
        raise _Unreadable(f"is of none of the engines that are installed: {known}")
    return found


def _source(engine: str, host: str | None, port: str | None, database: str | None) -> Source:
    database = "" if database in (None, NO_DATABASE) else database
    if not database.isprintable():
        raise _Unreadable("holds control characters in the database's name")
    if engine == "oracle" and not database:
        raise _Unreadable("names neither a service nor a SID")
    return Source(
        engine=engine,
        host=_host(host or ""),
        port=_port(port, PORTS.get(engine)),
        database=database.upper() if engine == "oracle" else database,
    )


def _host(text: str) -> str:
    name = text.strip().removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if "%" in name:
        # A scope's name may be any text, and means something on one machine only.
        raise _Unreadable("names a host with a scope")
    if ":" in name:
        try:
            return IPv6Address(name).compressed
        except ValueError:
            raise _Unreadable("names a host that is no IPv6 address") from None
    if "," in name:
        raise _Unreadable("names several hosts")
    if len(name) > 255 or not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise _Unreadable("names no host, or one with characters that no host name has")
    return name


def _port(text: str | None, default: int | None) -> int:
    text = (text or "").strip()
    if not text and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise _Unreadable("names a port that is none")
    return int(text)


def _with_path(engine: str, rest: str) -> Source:
    """`//[user@]host[:port][/database][?properties]`: PostgreSQL, MySQL, MariaDB."""
    found = _SLASHES.fullmatch(rest)
    if not found:
        raise _Unreadable("is not of the form //host:port/database")
    server = found["authority"].rpartition("@")[2]
    if "," in server:
        raise _Unreadable("names several hosts")
    place = _AUTHORITY.fullmatch(server)
    path = (found["path"] or "").removesuffix("/")
    if not place or "/" in path:
        raise _Unreadable("is not of the form //host:port/database")
    try:
        # `%` alone stands for no database and is no escape.
        database = path if path == NO_DATABASE else unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise _Unreadable("holds an escape that is not UTF-8") from None
    return _source(engine, place["host"], place["port"], database)


def _sqlserver(rest: str) -> Source:
    """`//[host[\\instance][:port]][/database][;property=value...]`."""
    found = _SQLSERVER.fullmatch(rest)
    place = _INSTANCE.fullmatch(found["server"].strip()) if found else None
    if not found or not place:
        raise _Unreadable("is not of the form //host:port;databaseName=database")
    properties = _sqlserver_properties(found["properties"] or "")
    host, _, instance = properties.get("servername", "").partition("\\")
    host, port = place["host"] or host, place["port"] or properties.get("portnumber")
    instance = place["instance"] or properties.get("instancename") or instance
    if ":" in instance and not port:
        port = instance.rpartition(":")[2]
    if instance and not port:
        # Its port is a matter of the SQL Browser; the default port may be another instance.
        raise _Unreadable("names an instance but no port")
    return _source("sqlserver", host, port, properties.get("databasename") or (found["path"] or "").removesuffix("/"))


def _sqlserver_properties(text: str) -> dict[str, str]:
    """Property names in lower case, of synonyms the driver's own; `{...}` quotes a value and `}}` is a brace in it."""
    properties: dict[str, str] = {}
    while text := text.lstrip("; \t\r\n"):
        name, _, text = text.partition("=")
        name = name.rpartition(";")[2].strip().lower()
        text = text.lstrip()
        if text.startswith("{"):
            quoted = _BRACES.match(text)
            if not quoted:
                raise _Unreadable("holds a brace that is not closed")
            value, text = quoted[1].replace("}}", "}"), text[quoted.end() :]
        else:
            value, _, text = text.partition(";")
            value = value.strip()
        name = _SQLSERVER_SYNONYMS.get(name, name)
        if properties.setdefault(name, value) != value:
            raise _Unreadable("holds one property with two values")
    return properties


def _oracle(rest: str) -> Source:
    """`[thin|oci|oci8|kprb:][user/password]@` and then `[//]host[:port]/service`, `host:port:SID` or a description."""
    address = re.sub(r"^(?:thin|oci8?|kprb):", "", rest, flags=re.IGNORECASE)
    before, parenthesis, description = address.partition("(")
    if parenthesis and before.rpartition("@")[2].strip() == "":
        return _oracle_description(description)
    _, at, place = address.partition("?")[0].rpartition("@")
    if not at and not re.match(r"(?:tcps?:)?//", place, re.IGNORECASE):
        raise _Unreadable("names no server after @")
    found = _ORACLE.fullmatch(re.sub(r"^(?:tcps?:)?//", "", place, flags=re.IGNORECASE))
    if not found or (found["sid"] and not found["port"]):
        raise _Unreadable("is not of the form @//host:port/service or @host:port:SID")
    return _source("oracle", found["host"], found["port"], _oracle_database(found["service"], found["sid"]))


def _oracle_description(text: str) -> Source:
    """A TNS description, `(DESCRIPTION=(ADDRESS=(HOST=..)(PORT=..))(CONNECT_DATA=(SERVICE_NAME=..)))`."""

    def only(name: str) -> str | None:
        values = {value.lower() for value in re.findall(rf"\(\s*{name}\s*=\s*([^()\s]+)\s*\)", text, re.IGNORECASE)}
        if len(values) > 1:
            raise _Unreadable(f"names several values of {name}")
        return next(iter(values), None)

    return _source("oracle", only("HOST"), only("PORT"), _oracle_database(only("SERVICE_NAME"), only("SID")))


def _oracle_database(service: str | None, sid: str | None) -> str | None:
    return service or (f"SID:{sid}" if sid else None)


def _shown(url: str) -> str:
    """The URL for an error: whole where it has no place for credentials, else its scheme alone."""
    if _HARMLESS.fullmatch(url):
        return ascii(url[:200])
    scheme = re.match(r"jdbc:(?:aws-wrapper:)?[a-z-]{1,20}(?=:)", url, re.IGNORECASE)
    return f"{scheme[0]}:..." if scheme else "(not shown)"
