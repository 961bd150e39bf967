"""Every example does what its README says: the commands there are run, on one real cluster for all.

A shell block of a README is run line by line by bash, in the root of the repository, against the
cluster. What an example is to have done is in the check of its folder below. Examples that need a
cluster of their own are run by the tests named in `ELSEWHERE`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any, Final

import pytest

from titan.cli.local import LocalCluster, Member, quiet_ports
from titan.sdk import TitanClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples"
ELSEWHERE: Final = {
    "functions": "tests/cluster/test_functions.py",
    "gate": "tests/cluster/test_gates.py",
    "services": "tests/cluster/test_service_example.py",
}
NEEDS: Final = {"dagster": "dagster", "langchain": "langchain_core"}  # folder: module of its extra
COMMAND_TIMEOUT_S: Final = 90
CHECKS: dict[str, Callable[[list[str]], None]] = {}


def checks(folder: str) -> Callable[[Callable[[list[str]], None]], Callable[[list[str]], None]]:
    """The check of one example: it is given what each line of the README printed."""

    def note(check: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
        CHECKS[folder] = check
        return check

    return note


class Stage:
    """Where examples are played: a cluster, and commands as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = LocalCluster(
            folder / "cluster", masters=3, workers=1, slots=4, ports=quiet_ports(3)
        )
        self.masters = ",".join(self.cluster.addresses)
        self.cluster.workers.append(self._gpu_worker())

    def _gpu_worker(self) -> Member:
        data = self.folder / "cluster" / "gpu-1"
        how = ["worker", "--masters", self.masters, "--slots", "4", "--capability", "GPU"]
        how += ["--data", str(data), "--name", "gpu-1"]
        return Member("gpu-1", how, log=data.with_suffix(".log"))

    def start(self) -> None:
        self.cluster.start()
        deadline, seen = time.monotonic() + 30, "nothing"
        with TitanClient(self.masters) as client:
            while time.monotonic() < deadline:
                seen = str([worker.name for worker in client.list_workers()])
                if "gpu-1" in seen and "worker-1" in seen:
                    return
                time.sleep(0.02)
        raise AssertionError(f"no two workers in time; last seen: {seen}")

    def environment(self) -> dict[str, str]:
        """With `python` and `titan` as in an activated environment."""
        programs = self.folder / "bin"
        if not programs.exists():
            programs.mkdir()
            (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            (programs / "titan").write_text(
                f'#!/bin/sh\nexec {sys.executable} -m titan.cli.main "$@"\n'
            )
            for program in programs.iterdir():
                program.chmod(0o755)
            (self.folder / "tmp").mkdir()
        kept = {name: value for name, value in os.environ.items() if "TITAN_" not in name}
        path = f"{programs}:{os.environ['PATH']}"
        return {
            **kept,
            "PATH": path,
            "TITAN_MASTERS": self.masters,
            "TMPDIR": str(self.folder / "tmp"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",  # it would tell its makers about the test
        }

    def run(self, line: str, **more: str) -> str:
        """One line of a README; what it printed. Any exit code but 0 is a failure."""
        process = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
            cwd=ROOT,
            env={**self.environment(), **more},
            text=True,
            check=False,
        )
        assert process.returncode == 0, f"{line}\n{process.stdout}"
        return process.stdout


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("examples"))
    try:
        made.start()
        yield made
    finally:
        made.cluster.stop()
        assert not any(member.is_alive for member in made.cluster.members)


def commands(folder: str) -> list[str]:
    """The lines of the README's shell blocks."""
    blocks = re.findall(
        r"```sh\n(.*?)```", (EXAMPLES / folder / "README.md").read_text(), re.DOTALL
    )
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def folders() -> list[str]:
    return sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def test_every_example_has_a_readme_whose_commands_a_test_runs() -> None:
    assert folders() == sorted({*CHECKS, *ELSEWHERE})
    assert [name for name in folders() if not commands(name)] == []
    unnamed = [
        name
        for name, test in ELSEWHERE.items()
        if not re.search(rf'examples["/ ]+{name}\b', (ROOT / test).read_text())
    ]
    assert unnamed == []
    index = (EXAMPLES / "README.md").read_text()
    assert [name for name in folders() if f"]({name}/README.md)" not in index] == []


def test_the_agents_ask_a_model_in_the_same_way() -> None:
    texts = {path.read_text() for path in EXAMPLES.glob("*/model.py")}
    assert len(texts) == 1  # in each folder, since a folder travels to the workers whole


class Model:
    """A server of chat completions on loopback, which writes a program that works at once."""

    PROGRAM = 'import json\njson.dump({"Ada": 1}, open("totals.json", "w"))\n'

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append({"path": self.path, "key": self.headers["Authorization"]})
                asked[-1].update(json.loads(text))
                says = f"Here it is:\n```python\n{Model.PROGRAM}```\n"
                body = json.dumps({"choices": [{"message": {"content": says}}]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, name="model")

    def __enter__(self) -> Model:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_an_agent_takes_a_real_model_by_its_environment(stage: Stage) -> None:
    key = stage.folder / "key"
    key.write_text("a-key\n")
    with Model() as model:
        out = stage.run(
            commands("self_healing_agent")[0],
            TITAN_EXAMPLE_MODEL=f"http://127.0.0.1:{model.server.server_port}/v1/",
            TITAN_EXAMPLE_MODEL_NAME="some-model",
            TITAN_EXAMPLE_KEY_FILE=str(key),
        )
    assert "work: COMPLETED, 1 attempts\nheal-1: SKIPPED" in out
    assert out.endswith("{'Ada': 1}\n")
    (asked,) = model.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["key"] == "Bearer a-key"
    assert asked["model"] == "some-model"
    assert "totals.json" in asked["messages"][0]["content"]


@pytest.mark.parametrize("folder", [name for name in folders() if name not in ELSEWHERE])
def test_an_example_does_what_its_readme_says(stage: Stage, folder: str) -> None:
    if folder in NEEDS and find_spec(NEEDS[folder]) is None:
        pytest.skip(f"{NEEDS[folder]} is not installed: pip install '.[{folder}]'")
    said = [stage.run(line) for line in commands(folder)]
    CHECKS[folder](said)


# --- what each example is to have done -------------------------------------------------------------


@checks("diamond")
def check_diamond(said: list[str]) -> None:
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    words = re.findall(r"[a-z]+", text.lower())
    assert f"{len(words)} words in " in said[0]
    assert ": COMPLETED\n" in said[0]


@checks("fanout")
def check_fanout(said: list[str]) -> None:
    pages = sorted((ROOT / "docs").glob("*.md"))
    total = 0
    for page in pages:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        total += len(re.findall(r"[A-Za-z]+", prose))
        assert page.name in said[0]
    assert said[0].endswith(f"{total} words in {len(pages)} pages\n")


@checks("etl")
def check_etl(said: list[str]) -> None:
    run, cleaned, joined, report, _ = said
    assert "7 COMPLETED" in run
    assert "could not convert string to float: 'x'" in cleaned
    assert joined == "dropped order 105: there is no customer 9\n"
    assert [line.split() for line in report.splitlines()] == [
        ["GB", "2", "orders", "180.00", "EUR"],
        ["US", "2", "orders", "90.00", "EUR"],
        ["DE", "1", "orders", "49.99", "EUR"],
    ]


@checks("dynamic_switch")
def check_dynamic_switch(said: list[str]) -> None:
    table, document, prose = said
    assert "jobs: look -> table\n" in table
    assert "country: 4 different values" in table
    assert "jobs: look -> document\n" in document
    assert "a dict of 3\n  EUR\n  GBP\n  USD\n" in document
    assert "jobs: look -> prose\n" in prose
    assert f"{len((ROOT / 'LICENSE').read_text().split())} words" in prose


@checks("gpu_routing")
def check_gpu_routing(said: list[str]) -> None:
    assert re.search(r"train ran on gpu-1 \(.*GPU.*\)", said[0])
    found = re.search(r"y = (\S+) x \+ (\S+)", said[0])
    assert found is not None
    assert abs(float(found[1]) - 3) < 0.1
    assert abs(float(found[2]) - 2) < 0.1
    assert said[0].count(" -> ") == 4
    assert said[1] == "1\n"


@checks("skill_routing")
def check_skill_routing(said: list[str]) -> None:
    assert "FINNISH" in re.findall(r"translate waits: (.*)", said[0])[0]
    assert "resize-photo [GPU] on gpu-1" in said[0]
    assert "read-scan [GPU] on gpu-1" in said[0]
    assert "greet [GENERAL] on " in said[0]
    assert "translate [GENERAL] on " in said[0]
    assert said[0].count(" done with ") == 4


@checks("store_suite")
def check_store_suite(said: list[str]) -> None:
    assert "gone\na watch: 0, 1, 2, 3, gone\n" in said[0]
    assert re.findall(r"each, by (\w+): (\d+)", said[0]) == [
        ("incr", "40"),
        ("cas", "40"),
        ("lock", "40"),
    ]


@checks("self_healing_agent")
def check_self_healing_agent(said: list[str]) -> None:
    out, status = said
    assert ": COMPLETED\nplan: COMPLETED, 1 attempts\nwork: COMPLETED, 3 attempts\n" in out
    assert re.findall(r"mended: (\w+)", out) == ["ValueError", "KeyError"]
    assert "heal-3: SKIPPED" in out
    assert "{'Ada Lovelace': 150.0, 'Grace Hopper': 100.0, 'Emmy Noether': 49.99}" in out
    assert "COMPLETED" in status


@checks("writer_critic")
def check_writer_critic(said: list[str]) -> None:
    assert ": COMPLETED\n" in said[0]
    rounds = re.findall(r"write-(\d) \((\d+) words\): (.*)\ncritic-\1: (.*)", said[0])
    assert len(rounds) >= 2, "the critic had nothing to complain about"
    assert "it says nothing of: " in rounds[0][3]
    _, words, draft, verdict = rounds[-1]
    assert verdict == "accepted"
    assert int(words) <= 60
    assert all(word in draft for word in ("pipelines", "Raft", "leader"))


@checks("research_agent")
def check_research_agent(said: list[str]) -> None:
    assert ": COMPLETED\n" in said[0]
    assert "search-damaged COMPLETED" in said[0]
    assert re.search(r"review COMPLETED\n(  search-\w+ COMPLETED\n)+  answer COMPLETED", said[0]), (
        "nothing was searched again"
    )
    sources = re.findall(r"\[(\S+\.md):(\d+)\] (\S+ \S+)", said[0])
    assert len(sources) == 3
    assert sources[0][0] == "files.md"
    for page, line, beginning in sources:
        assert beginning in " ".join(
            (ROOT / "docs" / page).read_text().splitlines()[int(line) - 1].split()
        )


@checks("wordcount")
def check_wordcount(said: list[str]) -> None:
    assert "14 COMPLETED" in said[0]
    library = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
    pages = [
        one for one in library.rglob("*.py") if not left_out & set(one.relative_to(library).parts)
    ]
    words = [word for one in pages for word in re.findall(rb"[a-z]+", one.read_bytes().lower())]
    assert f"{len(words)} words, {len(set(words))} of them distinct" in said[1]


@checks("ci")
def check_ci(said: list[str]) -> None:
    assert re.findall(r"^(\w+) +(\S+)", said[0], re.MULTILINE) == [
        ("COMPLETED", name)
        for name in ("lint", "format", "layers", "test-spec", "test-core", "verdict")
    ]
    assert "All checks passed!" in said[0]
    assert "Contracts: " in said[0]


@checks("dagster")
def check_dagster(said: list[str]) -> None:
    primes = sum(n > 1 and all(n % d for d in range(2, isqrt(n) + 1)) for n in range(20_000))
    assert f"primes below 20000: {primes}\nshare: {primes / 20_000}\n" in said[0]
    assert "count-3: COMPLETED" in said[0]  # in Dagster's own log
    assert re.search(r"broken: .*3.*\nno such luck\n", said[0])


@checks("langchain")
def check_langchain(said: list[str]) -> None:
    assert "titan_logs -> not_found: " in said[0]
    assert "titan_approve -> COMPLETED\ntitan_status -> COMPLETED\n" in said[0]
    assert said[0].endswith("The script said: hello from CPython\n")
