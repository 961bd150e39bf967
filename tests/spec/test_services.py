"""What a pipeline may say of a service, and what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from titan.errors import InvalidSpec
from titan.sdk import TitanJob
from titan.spec.model import JobSpec
from titan.spec.service import HealthSpec, RestartSpec
from titan.spec.yaml_file import parse_pipeline


def service(tmp_path: Path, *lines: str) -> JobSpec:
    text = "jobs:\n  - id: web\n    command: serve\n" + "".join(f"    {line}\n" for line in lines)
    (spec,) = parse_pipeline(text.encode(), path=tmp_path / "p.yaml").spec.jobs
    return spec


def problem(tmp_path: Path, *lines: str) -> str:
    with pytest.raises(InvalidSpec) as refused:
        service(tmp_path, *lines)
    return str(refused.value).removeprefix(str(tmp_path)).split(": ", 1)[1]


@pytest.mark.parametrize("name", ["service", "SERVICE", "DEPLOY_PAYLOAD"])
def test_a_service_goes_by_its_old_names_too(tmp_path: Path, name: str) -> None:
    assert service(tmp_path, f"type: {name}", "port: 8080").type == "service"


def test_health_is_asked_by_tcp_by_http_or_by_command(tmp_path: Path) -> None:
    head = ("type: service", "port: 0")
    assert service(tmp_path, *head).health is None
    assert service(tmp_path, *head, "health: tcp").health == HealthSpec()
    by_http = service(
        tmp_path, *head, "health: {http: /up, interval: 0.5, timeout: 1, start_period: 9, "
        "healthy_after: 2, unhealthy_after: 4}",
    )  # fmt: skip
    assert by_http.health == HealthSpec(
        kind="http",
        path="/up",
        interval_ms=500,
        timeout_ms=1000,
        start_period_ms=9000,
        healthy_after=2,
        unhealthy_after=4,
    )
    by_command = service(tmp_path, *head, "health: {command: [check, me]}").health
    assert by_command == HealthSpec(kind="command", argv=(b"check", b"me"))
    assert service(tmp_path, *head, "health: {command: ok}").health == HealthSpec(
        kind="command", shell=b"ok"
    )


def test_restarts_have_a_limit_or_none(tmp_path: Path) -> None:
    head = ("type: service", "port: 0")
    assert service(tmp_path, *head, "restart: {limit: none, backoff: 2}").restart == RestartSpec(
        backoff_ms=2000
    )
    assert service(tmp_path, *head, "restart: {limit: 3, backoff_cap: 60}").restart == RestartSpec(
        limit=3, backoff_cap_ms=60_000
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["type: service"], "jobs[0].port: a service needs one; 0 means that Titan picks it"),
        (["port: 80"], "jobs[0].port: only a service has 'port'; set type: service"),
        (["health: tcp"], "jobs[0].health: only a service has 'health'; set type: service"),
        (["type: service", "port: 65536"], "jobs[0].port: must be between 0 and 65535, not 65536"),
        (
            ["type: service", "port: 0", "timeout: 5"],
            "jobs[0].timeout: a service has none: it runs until it is stopped",
        ),
        (
            ["type: service", "port: 0", "health: {http: up}"],
            "jobs[0].health: http must be a path that begins with /, not 'up'",
        ),
        (
            ["type: service", "port: 0", "health: {htp: /}"],
            "jobs[0].health: has no 'htp'; did you mean 'http'?",
        ),
        (
            ["type: service", "port: 0", "health: {http: /, tcp: true}"],
            "jobs[0].health: asks by tcp and http; choose one",
        ),
        (
            ["type: service", "port: 0", "restart: {limit: -1}"],
            "jobs[0].restart: limit must be between 0 and 1000, not -1",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, lines: list[str], told: str) -> None:
    assert problem(tmp_path, *lines) == told


def test_python_declares_the_same_with_v1s_positions() -> None:
    spec = TitanJob("web", None, "SERVICE", None, None, 8080, command="serve").to_spec()
    assert (spec.type, spec.port) == ("service", 8080)
    health = {"http": "/up", "interval": 1}
    spec = TitanJob("web", command="serve", job_type="service", health=health).to_spec()
    assert (spec.port, spec.health) == (0, HealthSpec(kind="http", path="/up", interval_ms=1000))
    with pytest.raises(InvalidSpec, match="only a service has 'port'"):
        TitanJob("web", command="serve", port=80)
