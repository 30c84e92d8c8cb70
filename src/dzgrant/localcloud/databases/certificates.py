"""`python -m dzgrant.localcloud.databases.certificates FOLDER HOST...`: what servers in containers need to be real ones.

A throw-away authority (`ca.pem`), a certificate and key for each host name (`HOST.pem`, `HOST.key`), and the superusers'
password (`password`). What is there already stays, so that it may run again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from trustme import CA


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dzgrant.localcloud.databases.certificates")
    parser.add_argument("folder", type=Path)
    parser.add_argument("hosts", nargs="+")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if not (folder / "password").exists():
        # Containers run as different users; their root reads all of it, and so do we.
        os.umask(0o077)
        authority = CA()
        for host in arguments.hosts:
            issued = authority.issue_cert(host, "localhost")
            issued.private_key_pem.write_to_path(str(folder / f"{host}.key"))
            (folder / f"{host}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        # SQL Server asks for letters of both cases, a digit and a sign. It is the last, for it says that all are there.
        (folder / "password").write_text(f"{secrets.token_urlsafe(24)}-Aa1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
