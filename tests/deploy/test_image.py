"""The image and the compose file: what they promise, read from them; and, where Docker is asked for, built and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dzgrant.cli.demo import compose
from dzgrant.localcloud import places
from dzgrant.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"certificates", "cloud", "dzgrant", "demo"}


def test_the_image_is_the_workers_and_nothing_elses() -> None:
    assert not DOCKERFILE.startswith("# syntax")
    *_, last = re.findall(r"^FROM .+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert last == "worker"
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "USER 10001:10001" in final
    assert 'CMD ["run"]' in final
    assert "COPY --from=build /opt/dzgrant" in final
    assert 'ENTRYPOINT ["dzgrant"]' in DOCKERFILE
    assert "HEALTHCHECK" in final
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in final


def test_every_package_is_pinned_by_hash_and_none_is_cached() -> None:
    installed = re.findall(r"pip [^\n&|]*install [^\n]*", DOCKERFILE)
    assert len(installed) == 4
    assert all("--require-hashes" in it or "--no-deps" in it for it in installed)
    assert "PIP_NO_CACHE_DIR=1" in DOCKERFILE
    assert "rm -rf /var/lib/apt/lists/*" in DOCKERFILE
    assert "--no-install-recommends" in DOCKERFILE


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    assert "healthcheck" in service or name in {"certificates", "demo"}
    if name not in OURS:
        tag = service["image"].rpartition(":")[2]
        assert re.match(r"\d", tag)
    for needed in service.get("depends_on", {}).values():
        assert needed["condition"] in {"service_healthy", "service_completed_successfully"}
    # The host sees nothing of it.
    assert "ports" not in service


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_ours_has_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_worker_is_told_what_the_local_cloud_has() -> None:
    given = SERVICES["dzgrant"]["environment"]
    assert {
        name.removeprefix("DZGRANT_").lower() for name in given if name.startswith("DZGRANT_")
    } <= Settings.model_fields.keys()
    assert given == places.environment(compose.CLOUD) | {"DZGRANT_DATABASE_CA_BUNDLE": str(compose.TLS / "ca.pem")}
    assert SERVICES["dzgrant"]["build"]["target"] == "worker"


def test_the_demo_knows_the_services_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    assert {compose.CLOUD, compose.WORKER} == {"http://cloud:4566", "http://dzgrant:8080"}
    assert {"cloud", "dzgrant", *(server.host for server in compose.servers(tmp_path))} == set(SERVICES["demo"]["depends_on"])
    profiles = {name: it["profiles"] for name, it in SERVICES.items() if "profiles" in it}
    assert profiles == {"sqlserver": ["sqlserver"], "oracle": ["oracle"], "demo": ["demo"]}


def docker(*arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if os.environ.get("DZGRANT_TEST_SERVERS") != "containers":
        pytest.skip("images are built where Docker is asked for: make test-containers")
    network = os.environ.get("DZGRANT_TEST_BUILD_NETWORK", "default")
    for target, tag in (("worker", "dzgrant"), ("demo", "dzgrant-demo")):
        built = docker("build", "--network", network, "--target", target, "--tag", tag, ".", seconds=1500)
        assert built.returncode == 0, built.stderr[-2000:]
    yield "dzgrant"
    docker("compose", "down", "--volumes")


HARDENED = ("run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none")
_NOT_NEEDED = """
for tool in gcc cc c++ ld as make pip pip3 uv; do command -v "$tool"; done
find / -xdev -not -path '/proc/*' -regex '.*/\\(pip\\|ensurepip\\|[.]cache\\|.*[.]whl\\|.*[.]a\\)' 2>/dev/null
ls /var/lib/apt/lists /var/cache/apt
touch /anything 2>&1 || true
"""
_LOADS_THE_DRIVER = """
import pyodbc
from dzgrant.engines.sqlserver.driver import AUTO, chosen
driver = chosen(AUTO)
try:
    pyodbc.connect(f"DRIVER={driver};SERVER=tcp:127.0.0.1,1;UID=a;PWD=b", timeout=1)
except pyodbc.Error as error:
    print(driver, error)
"""


@pytest.mark.timeout(1800)
def test_the_image_runs_without_any_right(image: str) -> None:
    (described,) = json.loads(docker("image", "inspect", image).stdout)
    assert described["Config"]["User"] == "10001:10001"
    said = docker(*HARDENED, image, "version")
    assert (said.returncode, said.stdout.strip()) == (0, "0.1.0"), said.stderr
    # A wrong setting is one line, and exit code 2.
    refused = docker(*HARDENED, image)
    assert refused.returncode == 2
    assert "DZGRANT_QUEUE_URL is not set" in refused.stderr
    found = docker(*HARDENED, "--entrypoint", "sh", image, "-c", _NOT_NEEDED)
    assert found.stdout.split("\n") == [
        "/var/cache/apt:",
        "",
        "/var/lib/apt/lists:",
        "touch: cannot touch '/anything': Read-only file system",
        "",
    ]


@pytest.mark.timeout(1800)
def test_microsofts_driver_loads_in_the_image(image: str) -> None:
    loaded = docker(*HARDENED, "--entrypoint", "python", image, "-c", _LOADS_THE_DRIVER)
    assert loaded.returncode == 0, loaded.stderr
    # A library that can't be loaded would be the driver manager's own complaint.
    assert "libmsodbcsql-18" in loaded.stdout
    assert "[Microsoft][ODBC Driver 18 for SQL Server]" in loaded.stdout, loaded.stdout


@pytest.mark.timeout(900)
def test_the_story_is_told_across_containers_and_the_worker_drains(image: str) -> None:
    told = docker("compose", "run", "--rm", "demo")
    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-2000:]
    assert "failed" not in told.stdout
    _is_healthy_by_its_own_check()
    stopped = docker("compose", "stop", "dzgrant")
    assert stopped.returncode == 0
    log = docker("compose", "logs", "--no-log-prefix", "dzgrant").stdout
    assert '"worker_stopped"' in log
    states = docker("compose", "ps", "--all", "--format", "{{.Service}} {{.ExitCode}}").stdout.split("\n")
    assert "dzgrant 0" in states
    password = docker("compose", "exec", "-T", "postgresql", "cat", "/tls/password").stdout
    assert password
    assert password not in log


def _is_healthy_by_its_own_check() -> None:
    """The image's HEALTHCHECK, not the compose file's: of a worker beside the other one, and of one that can't begin."""
    place = {**SERVICES["dzgrant"]["environment"], "DZGRANT_HTTP_PORT": "8181"}
    settings = [word for name, value in place.items() for word in ("--env", f"{name}={value}")]
    begun = ("run", "--detach", "--read-only", "--cap-drop", "ALL", "--health-interval", "1s", "--health-start-period")
    well = docker(*begun, "90s", "--network", "dzgrant_default", "--volume", "dzgrant_tls:/tls:ro", *settings, "dzgrant")
    asleep = docker(*begun, "1s", "--entrypoint", "sleep", "dzgrant", "600")
    assert (well.returncode, asleep.returncode) == (0, 0), well.stderr + asleep.stderr
    try:
        assert _health(well.stdout.strip()) == "healthy"
        assert _health(asleep.stdout.strip()) == "unhealthy"
        assert docker("stop", "--time", "60", well.stdout.strip()).returncode == 0
        # The signal reached the worker itself: it drained, and said so by its exit code.
        assert docker("inspect", "--format", "{{.State.ExitCode}}", well.stdout.strip()).stdout.strip() == "0"
    finally:
        docker("rm", "--force", well.stdout.strip(), asleep.stdout.strip())


def _health(container: str) -> str:
    deadline = time.monotonic() + 150
    while (found := docker("inspect", "--format", "{{.State.Health.Status}}", container).stdout.strip()) == "starting":
        assert time.monotonic() < deadline, docker("logs", container).stderr[-2000:]
        time.sleep(0.5)
    return found
