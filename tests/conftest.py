"""The fixtures that every test may use: real database servers (tests/servers.py)."""

from tests.servers import authority, mariadb, mysql, postgresql, postgresql_wheel, server

__all__ = ["authority", "mariadb", "mysql", "postgresql", "postgresql_wheel", "server"]
