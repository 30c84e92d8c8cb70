"""The image and the compose file: what they promise, read from them; and, where Docker is asked for, built and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
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


@pytest.mark.timeout(1800)
def test_the_image_runs_without_any_right(image: str) -> None:
    (described,) = json.loads(docker("image", "inspect", image).stdout)
    assert described["Config"]["User"] == "10001:10001"
    hardened = ("run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none")
    said = docker(*hardened, image, "version")
    assert (said.returncode, said.stdout.strip()) == (0, "0.1.0"), said.stderr
    # A wrong setting is one line, and exit code 2.
    refused = docker(*hardened, image)
    assert refused.returncode == 2
    assert "DZGRANT_QUEUE_URL is not set" in refused.stderr
    found = docker(*hardened, "--entrypoint", "sh", image, "-c", "command -v gcc cc pip3 uv; ls /root/.cache 2>/dev/null; true")
    assert [line for line in found.stdout.split() if "pip" not in line] == []
    driver = "import pyodbc, mssql_python_odbc; print(pyodbc.version)"
    loaded = docker(*hardened, "--entrypoint", "python", image, "-c", driver)
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.timeout(900)
def test_the_story_is_told_across_containers_and_the_worker_drains(image: str) -> None:
    told = docker("compose", "run", "--rm", "demo")
    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-2000:]
    assert "failed" not in told.stdout
    stopped = docker("compose", "stop", "dzgrant")
    assert stopped.returncode == 0
    log = docker("compose", "logs", "--no-log-prefix", "dzgrant").stdout
    assert '"worker_stopped"' in log
    states = docker("compose", "ps", "--all", "--format", "{{.Service}} {{.ExitCode}}").stdout.split("\n")
    assert "dzgrant 0" in states
    password = docker("compose", "exec", "-T", "postgresql", "cat", "/tls/password").stdout
    assert password
    assert password not in log
