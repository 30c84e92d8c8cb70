"""Run as a process of its own: keeps one server for as long as its parent keeps our standard input open.

The end of standard input is the one signal to stop, so that a parent that exits, crashes or is killed with -9 leaves no
server and no files behind. (PR_SET_PDEATHSIG does not do: it fires when the parent's *thread* ends, and only on Linux.)
SIGHUP starts the server anew; all its sessions end.
Only the standard library is imported: this file is run by its path.
"""

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys

_GRACE = 10.0  # seconds


def main(folder: str, user: str, *command: str) -> int:
    """Runs the command in the folder, as the user ('': our own); removes the folder when it was told to stop."""
    again = []
    signal.signal(signal.SIGHUP, lambda *_: again.append(True))

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=user or None,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    server = start()
    while server.poll() is None:
        # Nothing is ever written to us: readable means closed.
        if select.select([sys.stdin], [], [], 0.1)[0]:
            _stop(server)
            shutil.rmtree(folder, ignore_errors=True)
            return 0
        if again:
            again.clear()
            # An orderly end, or PostgreSQL's fast one: the servers are set to lose what is younger than a second in a crash.
            _stop(server, signal.SIGINT if command[0].endswith("/postgres") else signal.SIGTERM)
            server = start()
    return int(server.returncode)


def _stop(server: "subprocess.Popen[bytes]", number: int = signal.SIGQUIT) -> None:
    # SIGQUIT: PostgreSQL's immediate shutdown, and MySQL's orderly one.
    server.send_signal(number)
    try:
        server.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
