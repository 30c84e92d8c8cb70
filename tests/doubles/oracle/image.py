"""The real server: `gvenzl/oracle-free`, with TLS in front of it, since its image has no wallet and no tool to make one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from threading import Event, Thread

from dzgrant.localcloud.databases.workplace import Workplace

IMAGE = "gvenzl/oracle-free:23-slim-faststart"
SERVICE = "FREEPDB1"
AUDIT = ("CREATE AUDIT POLICY everything ACTIONS ALL", "AUDIT POLICY everything")
"""So that its log has every statement, as the double's."""

_KILL = "PROCEDURE kill(sid IN NUMBER, serial IN NUMBER, method IN VARCHAR2 DEFAULT NULL)"
_KILLING = "EXECUTE IMMEDIATE 'ALTER SYSTEM KILL SESSION ''' || sid || ',' || serial || ''' ' || method"
# rdsadmin_util as far as dzgrant knows it, for an admin that may not ALTER SYSTEM.
RDSADMIN = (
    "CREATE USER rdsadmin NO AUTHENTICATION",
    "GRANT ALTER SYSTEM TO rdsadmin",
    f"CREATE OR REPLACE PACKAGE rdsadmin.rdsadmin_util AS {_KILL}; END;",
    f"CREATE OR REPLACE PACKAGE BODY rdsadmin.rdsadmin_util AS {_KILL} IS BEGIN {_KILLING}; END; END;",
)


def script(*statements: str) -> str:
    """What SQL*Plus is to do as SYS in the pluggable database; it ends with an error at the first that there is."""
    lines = [f"ALTER SESSION SET CONTAINER = {SERVICE};", *(f"{statement}\n/" for statement in statements), "EXIT"]
    return "\n".join(["WHENEVER SQLERROR EXIT FAILURE", "SET PAGESIZE 0 LINESIZE 32767 LONG 100000 FEEDBACK OFF", *lines, ""])


@contextmanager
def encrypted(place: Workplace, host: str, port: int) -> Iterator[int]:
    """Terminates TLS on a free port of 127.0.0.1, which it yields, and pipes what is inside to the host and port."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(place.certificate, place.key)
    ready, ports, stops = Event(), list[int](), list[Callable[[], object]]()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(partial(loop.call_soon_threadsafe, stop.set))
        async with await asyncio.start_server(partial(_piped, host, port), "127.0.0.1", 0, ssl=tls) as server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("no TLS in front of Oracle")
    try:
        yield ports[0]
    finally:
        stops[0]()
        thread.join()


async def _piped(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(OSError):
        from_server, to_server = await asyncio.open_connection(host, port)
        await asyncio.gather(_pipe(reader, to_server), _pipe(from_server, writer))


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with closing(target):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
