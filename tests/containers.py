"""The same servers out of Docker, through testcontainers.

Certificates go in through the environment, so that the Docker may be another machine's; the image's own entrypoint
does the rest.
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from docker.errors import DockerException
from pydantic import SecretStr
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import get_docker_host
from trustme import CA

from dzgrant.localcloud.databases import NotAvailable, Server
from dzgrant.localcloud.databases.server import MysqlServer, PostgresqlServer, credentials
from dzgrant.localcloud.databases.workplace import HOST, Workplace, greets, workplace
from dzgrant.model import Credentials
from tests.doubles.oracle import image as oracle_image
from tests.doubles.oracle.server import OracleServer
from tests.doubles.sqlserver.client import SqlServer

_STARTS_WITHIN = 180.0  # seconds, without the pull of the image
_TLS = "/var/lib/dzgrant"
_STATEMENTS = f"{_TLS}/statements.log"
_ENTRYPOINT = f"""
set -eu
umask 077
mkdir -p {_TLS}
printf %s "$TLS_CA" > {_TLS}/ca.pem
printf %s "$TLS_CERTIFICATE" > {_TLS}/server.pem
printf %s "$TLS_KEY" > {_TLS}/server.key
printf 'local all all trust\\nhostssl all all all scram-sha-256\\n' > {_TLS}/pg_hba.conf
chown -R "$OWNER" {_TLS}
"""
_SQLSERVER = "mcr.microsoft.com/mssql/server:2022-latest"
_SQLSERVER_SETTINGS = f"""
mkdir -p /var/opt/mssql
printf '[network]\\ntlscert = {_TLS}/server.pem\\ntlskey = {_TLS}/server.key\\n' > /var/opt/mssql/mssql.conf
exec"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    container: DockerContainer
    place: Workplace
    port: int

    @property
    def host(self) -> str:
        return self.container.get_container_host_ip()

    def output(self, *command: str) -> str:
        return self.container.exec(list(command)).output.decode(errors="replace")

    def version(self, program: str) -> str:
        found = re.search(r"\d+(\.\d+)+", self.output(program, "--version"))
        return found[0] if found else "?"

    def wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(b"".join(self.container.get_logs())[-2000:].decode(errors="replace"))
            time.sleep(0.2)


@contextmanager
def postgresql(authority: CA) -> Iterator[Server]:
    """Raises `NotAvailable` where Docker can't be reached or has no such image; so do the others."""
    admin = credentials("postgres")
    environment = {"POSTGRES_PASSWORD": admin.password.get_secret_value(), "OWNER": "postgres"}
    settings = {
        "ssl": "on",
        "ssl_cert_file": f"{_TLS}/server.pem",
        "ssl_key_file": f"{_TLS}/server.key",
        "hba_file": f"{_TLS}/pg_hba.conf",
        "fsync": "off",
        "log_statement": "all",
        "max_connections": "200",
    }
    command = ["postgres", *(f"--{name}={value}" for name, value in settings.items())]
    with _running("postgres:17", 5432, command, environment, authority) as it:
        # Over TCP, which the entrypoint's first, temporary server does not serve.
        it.wait(lambda: it.container.exec(["pg_isready", "-q", "-h", "127.0.0.1"]).exit_code == 0)
        yield PostgresqlServer(
            flavour=f"PostgreSQL {it.version('postgres')}",
            provider="container",
            host=it.host,
            port=it.port,
            ca_file=it.place.ca_file,
            admin=admin,
            read_log=lambda: b"".join(it.container.get_logs()).decode(errors="replace"),
        )


@contextmanager
def mariadb(authority: CA) -> Iterator[Server]:
    with _mysql_family("MariaDB", "mariadb:11", "mariadbd", authority) as server:
        yield server


@contextmanager
def mysql(authority: CA) -> Iterator[Server]:
    with _mysql_family("MySQL", "mysql:8.4", "mysqld", authority) as server:
        yield server


@contextmanager
def sqlserver(authority: CA) -> Iterator[Server]:
    """Its statements are in an event session's file: the server's log has none."""
    admin = Credentials(username="sa", password=SecretStr(f"{secrets.token_urlsafe(18)}-Aa1"))
    environment = {"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": admin.password.get_secret_value(), "OWNER": "root"}
    command = ["/opt/mssql/bin/launch_sqlservr.sh", "/opt/mssql/bin/sqlservr"]
    with _running(_SQLSERVER, 1433, command, environment, authority, then=_SQLSERVER_SETTINGS, user="root") as it:
        it.wait(lambda: b"Recovery is complete" in b"".join(it.container.get_logs()))
        server = SqlServer(
            flavour=f"SQL Server {_SQLSERVER.partition(':')[2]}",
            provider="container",
            host=it.host,
            port=it.port,
            ca_file=it.place.ca_file,
            admin=admin,
            read_log=lambda: b"".join(it.container.get_logs()).decode(errors="replace") + server.traced(),
        )
        server.trace()
        yield server


@contextmanager
def oracle(authority: CA) -> Iterator[Server]:
    """Behind a TLS front of ours. Its statements are in its audit trail, which hides passwords."""
    admin = credentials("SYSTEM")
    container = _container(oracle_image.IMAGE).with_exposed_ports(1521)
    container.with_env("ORACLE_PASSWORD", admin.password.get_secret_value())
    with workplace(authority, ours=True) as place, _started(container, oracle_image.IMAGE, place, 1521) as it:
        it.wait(lambda: b"DATABASE IS READY TO USE!" in b"".join(it.container.get_logs()))

        def sqlplus(*statements: str) -> str:
            command = ["sh", "-c", 'printf %s "$1" | sqlplus -S / as sysdba', "sh", oracle_image.script(*statements)]
            done = it.container.exec(command)
            if done.exit_code:
                raise RuntimeError(done.output.decode(errors="replace"))
            return str(done.output.decode(errors="replace"))

        def as_sysdba(statement: str) -> None:
            sqlplus(statement)

        sqlplus(*oracle_image.AUDIT, *oracle_image.RDSADMIN)
        with oracle_image.encrypted(place, it.host, it.port) as port:
            yield OracleServer(
                flavour=f"Oracle {oracle_image.IMAGE.partition(':')[2]}",
                provider="container",
                host=HOST,
                port=port,
                ca_file=place.ca_file,
                admin=admin,
                read_log=lambda: sqlplus("SELECT sql_text FROM unified_audit_trail ORDER BY event_timestamp"),
                as_sysdba=as_sysdba,
            )


@contextmanager
def _mysql_family(name: str, image: str, program: str, authority: CA) -> Iterator[Server]:
    admin = credentials("root")
    environment = {"MYSQL_ROOT_PASSWORD": admin.password.get_secret_value(), "OWNER": "mysql"}
    command = [
        program,
        f"--ssl-ca={_TLS}/ca.pem",
        f"--ssl-cert={_TLS}/server.pem",
        f"--ssl-key={_TLS}/server.key",
        "--require-secure-transport=ON",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--max-connections=300",
        "--general-log=1",
        f"--general-log-file={_STATEMENTS}",
    ]
    with _running(image, 3306, command, environment, authority) as it:
        it.wait(lambda: greets(it.port))
        yield MysqlServer(
            flavour=f"{name} {it.version(program)}",
            provider="container",
            host=it.host,
            port=it.port,
            ca_file=it.place.ca_file,
            admin=admin,
            read_log=lambda: b"".join(it.container.get_logs()).decode(errors="replace") + it.output("cat", _STATEMENTS),
        )


@contextmanager
def _running(
    image: str,
    port: int,
    command: Sequence[str],
    environment: dict[str, str],
    authority: CA,
    *,
    then: str = "exec docker-entrypoint.sh",
    user: str | None = None,
) -> Iterator[_Running]:
    """`then`: how the image goes on after the certificate is in its place; `user`: whom it runs as, if not its own."""
    with workplace(authority, ours=True) as place:
        tls = {"TLS_CA": place.ca_file, "TLS_CERTIFICATE": place.certificate, "TLS_KEY": place.key}
        container = _container(image).with_exposed_ports(port).with_command(list(command))
        container.with_envs(**environment, **{name: path.read_text() for name, path in tls.items()})
        container.with_kwargs(entrypoint=["sh", "-c", f'{_ENTRYPOINT}{then} "$@"', "sh"], user=user)
        with _started(container, image, place, port) as it:
            yield it


@contextmanager
def _started(container: DockerContainer, image: str, place: Workplace, port: int) -> Iterator[_Running]:
    try:
        container.start()
    except DockerException as error:
        raise NotAvailable(f"no {image} from Docker: {error}", do="start Docker") from error
    try:
        yield _Running(container=container, place=place, port=container.get_exposed_port(port))
    finally:
        container.stop()


def _container(image: str) -> DockerContainer:
    """It asks the Docker Engine already when it is made."""
    _knock()
    try:
        return DockerContainer(image)
    except DockerException as error:
        raise NotAvailable(f"no Docker: {error}", do="start Docker") from error


def _knock() -> None:
    # docker-py does not close a Unix socket that it can't connect, and pytest makes that an error of the whole run.
    host = get_docker_host() or "unix:///var/run/docker.sock"
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(host.removeprefix("unix://"))
            except OSError as error:
                raise NotAvailable(f"no Docker at {host}", do="start Docker") from error
