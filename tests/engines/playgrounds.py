"""Each engine's playground, by the entry point's name."""

from __future__ import annotations

from tests.engines.mysql_playground import MysqlPlayground
from tests.engines.oracle_playground import OraclePlayground
from tests.engines.playground import Playground
from tests.engines.postgresql_playground import PostgresqlPlayground
from tests.engines.sqlserver_playground import SqlserverPlayground

PLAYGROUNDS: dict[str, type[Playground]] = {
    "postgresql": PostgresqlPlayground,
    "mysql": MysqlPlayground,
    "sqlserver": SqlserverPlayground,
    "oracle": OraclePlayground,
}
