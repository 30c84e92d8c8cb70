"""Real database servers for the tests and the demo: started as a user that is not root, on free loopback ports, with
real passwords and TLS by a throw-away authority; ended surely, also when this process is killed.

    from trustme import CA
    from dzgrant.localcloud.databases import mariadb, mysql, postgresql

    authority = CA()                                    # one for all servers: any `ca_file` is the bundle for each
    with postgresql(authority) as server:               # blocks for 1-3 s (in a coroutine: asyncio.to_thread)
        server.engine, server.host, server.port         # "postgresql", "localhost", 54321
        server.ca_file, server.admin                    # what verifies it, and its superuser
        await server.create_database("shop")
        await server.execute('CREATE TABLE t (id int)', database="shop")
        admin = await server.rds_admin()                # not a superuser: what RDS gives its customers
        await server.create_database("crm", owner=admin)
        async with server.session(database="shop", login=consumer) as run:
            rows = await run("SELECT * FROM t")         # list of tuples
        server.read_log()                               # its messages and every statement it was sent

A server that can't be had raises `NotAvailable`; one that can but does not start, `Transient` or `Misconfigured`.
"""

from dzgrant.localcloud.databases.mysql import mariadb, mysql
from dzgrant.localcloud.databases.postgresql import postgresql, postgresql_of_wheel
from dzgrant.localcloud.databases.server import NotAvailable, Run, Server

__all__ = ["NotAvailable", "Run", "Server", "mariadb", "mysql", "postgresql", "postgresql_of_wheel"]
