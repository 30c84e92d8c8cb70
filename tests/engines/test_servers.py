"""The servers of the other tests are what they claim to be: real passwords, TLS only, gone when their parent is."""

from __future__ import annotations

from dzgrant.localcloud.databases import Server


async def test_answers_its_superuser(server: Server) -> None:
    assert await server.execute("SELECT 1") == [(1,)]
