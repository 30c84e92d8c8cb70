"""What AWS's sample does in a database, by the same statements, as the admin that its Glue connection names."""

from __future__ import annotations

from dzgrant.model import Credentials, Table
from tests.engines.playground import Playground
from tests.engines.postgresql_playground import quoted


async def make_login(play: Playground, login: Credentials) -> None:
    name, password = login.username, login.password.get_secret_value()
    match play.server.engine:
        case "postgresql":
            await play.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", play.admin)
        case "mysql":
            await play.run(f"CREATE USER IF NOT EXISTS {name} IDENTIFIED BY '{password}'", play.admin)
        case "sqlserver":
            await play.run(f"CREATE LOGIN {name} WITH PASSWORD = '{password}'", play.admin)
            await play.run(f"CREATE USER {name} FOR LOGIN {name}", play.admin)
        case _:
            await play.run(f'CREATE USER {name} IDENTIFIED BY "{password}"', play.admin)
            await play.run(f"GRANT CREATE SESSION TO {name}", play.admin)


async def grant(play: Playground, login: Credentials, table: Table) -> None:
    if play.server.engine == "postgresql":
        await play.run(f"GRANT USAGE ON SCHEMA {quoted(table.schema)} TO {login.username}", play.admin)
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {login.username}", play.admin)
