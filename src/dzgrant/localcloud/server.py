"""The local cloud in this process: HTTP until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from threading import Event, Thread

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from dzgrant.errors import Misconfigured

LOOPBACK = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    """Answers of keep-alive connections at once: small writes would otherwise wait for the client's delayed ACK."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # An answer's head and body leave in one segment.
    wbufsize = -1

    def run_wsgi(self) -> None:
        """Answers, and keeps the connection, as AWS does: werkzeug's own closes it, and every call would pay for a new one."""

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            code, phrase = status.split(" ", 1)
            self.send_response(int(code), phrase)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            return self.wfile.write

        try:
            # The application reads each body to its end and tells each answer's length.
            self.wfile.writelines(self.server.app(self.make_environ(), start))
            self.wfile.flush()
        except OSError:
            # The client went away, or was hung up on.
            self.close_connection = True

    def log_request(self, *_: object) -> None:
        """Nothing: the journal lists the calls."""


class _Server(ThreadedWSGIServer):
    # A long poll must not keep the process alive.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512


def serve(
    *, host: str = LOOPBACK, port: int, ready: Callable[[str], None], stop: Event | None = None, empty: bool = False
) -> None:
    """Serves until SIGTERM, SIGINT or `stop`; `ready` is told the endpoint when it answers. Port 0: a free one.
    An `empty` one lacks what a deployment makes: queues, ledger, bus, roles and key.

    Call it in the main thread of a process that does nothing else: it forgets this process's AWS settings, which moto
    would heed. Raises `Misconfigured` when the port can't be had.
    """
    _prepare()
    # moto reads its environment when it is imported.
    from dzgrant.localcloud.app import Application  # noqa: PLC0415

    stop = stop or Event()
    try:
        server = _Server(host, port, Application(empty=empty), handler=_Handler)
    except (OSError, SystemExit) as error:
        raise Misconfigured(f"the local cloud can't listen on {host}:{port}", do="choose another port, or 0") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    ready(f"http://{host}:{server.server_port}")
    stop.wait()
    server.shutdown()
    server.server_close()


def _prepare() -> None:
    """Quiet logs, no foreign AWS settings, and no CORS headers, which cost time on each answer."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
        del os.environ[name]
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
