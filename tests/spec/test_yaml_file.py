"""From a pipeline's YAML to its spec, and every mistake located at once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titan.errors import InvalidSpec, LimitExceeded
from titan.ids import JobId
from titan.limits import PROBLEMS_MAX
from titan.spec.model import Approvers, Input, JobSpec, PipelineSpec
from titan.spec.yaml_file import LoadedPipeline, load_pipeline, parse_pipeline


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("print('a')")
    (tmp_path / "b.sh").write_text("echo b")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("print('sub')")
    return tmp_path


def load(project: Path, text: str) -> LoadedPipeline:
    file = project / "p.yaml"
    file.write_text(text)
    return load_pipeline(file)


def problems(project: Path, text: str) -> list[str]:
    with pytest.raises(InvalidSpec) as refused:
        load(project, text)
    return [problem.replace(f"{project}/", "") for problem in refused.value.problems]


def test_every_field_reaches_the_model(project: Path) -> None:
    loaded = load(
        project,
        """
name: demo
version: 1.10
parameters:
  region: eu
  n: 3
  on: true
  none: null
  day: {type: text, required: true, help: which}
defaults:
  retries: 1
  env: {A: 1, B: 2}
jobs:
  - id: a
    type: run
    file: ./sub/../a.py
    args: "x 'y z' |"
    env: {B: yes, C: null}
    delay: 1.5
    affinity: true
    priority: -4
    requirement: [HIGH_MEM, GPU]
    resources: {cpus: 0.5, memory_mb: 100, slots: 0}
    retry_backoff_ms: 5
    retry_backoff_cap_ms: 6
    no_retry_exit_codes: [2, 1]
    timeout: 0.5
    queue_timeout: 7
    isolation: process
  - id: 2
    command: [echo, 1.10, yes, "|"]
    depends_on: DAG-a
    trigger: none_failed
    retries: 0
  - {id: c, command: 'echo $1', args: [!!binary /w==, 1], depends_on: [a, 2], hitl_message: "Go?"}
  - id: g
    type: gate
    message: Ship it?
    max_wait_seconds: 1.5
    approvers: {count: 2, users: [ann, bob], roles: lead}
    form: {region: {choices: [eu, us], required: true}, n: int}
    depends_on: c
  - {id: p, type: pipeline, pipeline: nightly, version: 3, with: {day: monday}}
""",
    )
    assert loaded.spec == PipelineSpec(
        name="demo",
        version="1.10",
        parameters={"region": "eu", "n": 3, "on": True, "none": None, "day": None},
        inputs={
            "region": Input(default="eu"),
            "n": Input("int", default=3),
            "on": Input("bool", default=True),
            "none": Input("any"),
            "day": Input(required=True, help="which"),
        },
        jobs=(
            JobSpec(
                id=JobId("a"),
                file="a.py",
                args=(b"x", b"y z", b"|"),
                env={"A": "1", "B": "yes", "C": ""},
                delay_ms=1500,
                affinity=True,
                priority=-4,
                requirement=("GPU", "HIGH_MEM"),
                resources={"cpu_milli": 500, "memory_mb": 100, "slots": 0},
                retries=1,
                retry_backoff_ms=5,
                retry_backoff_cap_ms=6,
                no_retry_exit_codes=(1, 2),
                timeout_ms=500,
                queue_timeout_ms=7000,
            ),
            JobSpec(
                id=JobId("2"),
                argv=(b"echo", b"1.10", b"yes", b"|"),
                env={"A": "1", "B": "2"},
                depends_on=(JobId("a"),),
                trigger="none_failed",
                retries=0,
            ),
            JobSpec(
                id=JobId("c"),
                shell=b"echo $1",
                args=(b"\xff", b"1"),
                env={"A": "1", "B": "2"},
                depends_on=(JobId("a"), JobId("2")),
                retries=1,
            ),
            JobSpec(
                id=JobId("hitl-gate-c"),
                type="gate",
                depends_on=(JobId("c"),),
                hitl_message="Go?",
                gate_of=JobId("c"),
            ),
            JobSpec(
                id=JobId("g"),
                type="gate",
                env={"A": "1", "B": "2"},
                depends_on=(JobId("hitl-gate-c"),),
                retries=1,
                hitl_message="Ship it?",
                max_wait_ms=1500,
                approvers=Approvers(2, ("ann", "bob"), ("lead",)),
                form={
                    "region": Input(choices=("eu", "us"), required=True),
                    "n": Input("int"),
                },
            ),
            JobSpec(
                id=JobId("p"),
                type="pipeline",
                env={"A": "1", "B": "2"},
                retries=1,
                pipeline="nightly",
                pipeline_version=3,
                parameters={"day": "monday"},
            ),
        ),
    )
    assert loaded.project_dir == project
    assert loaded.files == {}


def test_a_v1_file_runs_unchanged(project: Path) -> None:
    loaded = load(
        project,
        """
name: "ml"
project: false
jobs:
  - id: prep
    type: RUN_PAYLOAD
    file: a.py
    args: "dataset-001 --fast"
    port: 0
  - id: train
    type: run
    file: sub/a.py
    requirement: GPU
    priority: 4
    depends_on: [DAG-prep]
    hitl_message: null
    max_wait_seconds: 172800
""",
    )
    prep, train = loaded.spec.jobs
    assert (prep.type, prep.args) == ("run", (b"dataset-001", b"--fast"))
    assert (train.depends_on, train.requirement) == (("prep",), ("GPU",))
    assert loaded.project_dir is None
    assert loaded.files == {"a.py": project / "a.py", "sub/a.py": project / "sub" / "a.py"}
    bundle = loaded.pack()
    assert bundle is not None
    with bundle:
        assert bundle.names == {"a.py", "sub/a.py"}


def test_older_spellings_are_understood(project: Path) -> None:
    spec = load(
        project,
        """
dag: old
tasks:
  - {name: a, script: a.py, capability: GPU}
  - {job_id: b, filename: b.sh, job_type: TASK, parents: [a]}
""",
    ).spec
    assert spec.name == "old"
    assert [(job.id, job.file, job.depends_on) for job in spec.jobs] == [
        ("a", "a.py", ()),
        ("b", "b.sh", ("a",)),
    ]


def test_the_name_defaults_to_the_files_stem_and_anchors_and_merges_work(project: Path) -> None:
    spec = load(
        project,
        """
jobs:
  - &first {id: a, command: x, retries: 7, priority: 2}
  - {<<: *first, id: b, priority: 3}
""",
    ).spec
    assert spec.name == "p"
    assert [(job.id, job.retries, job.priority) for job in spec.jobs] == [("a", 7, 2), ("b", 7, 3)]


def test_all_mistakes_are_located_and_told_at_once(project: Path) -> None:
    assert problems(
        project,
        """\
nmae: x
schedule: {cron: "61 * * * *", timezone: Europe/Berlim, overlap: skip, jiter: 2}
defaults: {retrys: 3, file: a.py}
jobs:
  - id: a
    file: aa.py
    dependson: [x]
    type: servce
    priority: high
    retries: -1
  - id: a b
    command: x
    depends_on: [aa]
    when: outputs.zz.n > 1 and states.aa == "DONE"
  - id: c
    trigger: all_sucess
    command: x
    depends_on: [d]
  - id: d
    depends_on: [c]
    isolation: sandboxed
    file: ../a.py
    timeout: soon
  - id: d
    name: d
    command: [x, [y]]
  - 3
  - {command: x, file: a.py, id: e, port: 80}
  - {id: f}
""",
    ) == [
        "p.yaml:1:1: nmae: unknown field; did you mean 'name'?",
        "p.yaml:2:11: schedule: unknown key 'jiter'; did you mean 'jitter'?",
        "p.yaml:3:12: defaults.retrys: unknown field; did you mean 'retries'?",
        "p.yaml:3:23: defaults.file: unknown field",
        "p.yaml:6:11: jobs[0].file: no such file: aa.py; did you mean 'a.py'?",
        "p.yaml:7:5: jobs[0].dependson: unknown field; did you mean 'depends_on'?",
        "p.yaml:8:11: jobs[0].type: 'servce' is not one of run, service, gate, pipeline; "
        "did you mean 'service'?",
        "p.yaml:9:15: jobs[0].priority: must be a whole number, not text",
        "p.yaml:10:14: jobs[0].retries: must be between 0 and 1000, not -1",
        "p.yaml:11:9: jobs[1].id: 'a b' must be 1 to 128 characters of A-Z a-z 0-9 . _ -",
        "p.yaml:13:17: jobs[1].depends_on: unknown parent 'aa'; did you mean 'a'?",
        "p.yaml:14:11: jobs[1].when: there is no state 'DONE'",
        "p.yaml:16:14: jobs[2].trigger: 'all_sucess' is not one of all_success, all_done, "
        "any_success, any_failed, none_failed; did you mean 'all_success'?",
        "p.yaml:18:17: jobs[2].depends_on: cycle: c → d → c",
        "p.yaml:21:16: jobs[3].isolation: 'sandboxed' is not one of process, sandbox, container; "
        "did you mean 'sandbox'?",
        "p.yaml:22:11: jobs[3].file: ../a.py is outside the project; with 'project: false' it may "
        "be anywhere",
        "p.yaml:23:14: jobs[3].timeout: must be a number of seconds, not 'soon'",
        "p.yaml:24:9: jobs[4].id: 'd' is already the id of job 4",
        "p.yaml:25:5: jobs[4].name: means the same as 'id', which is set too",
        "p.yaml:26:14: jobs[4].command: must be text, not a list",
        "p.yaml:27:5: jobs[5]: must be a mapping",
        "p.yaml:28:15: jobs[6]: a job has either a file or a command, not both",
        "p.yaml:28:43: jobs[6].port: only a service has 'port'; set type: service",
        "p.yaml:29:5: jobs[7]: has nothing to run: give it a file or a command",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "p.yaml:1:1: must be a mapping with the key 'jobs'"),
        ("- a\n", "p.yaml:1:1: must be a mapping with the key 'jobs'"),
        ("name: x\n", "p.yaml:1:1: jobs: must be a list of at least one job"),
        ("jobs: []\n", "p.yaml:1:7: jobs: must be a list of at least one job"),
        ("jobs: {a: b}\n", "p.yaml:1:7: jobs: must be a list of at least one job"),
        ("jobs: [\n", "p.yaml:2:1: is not valid YAML: did not find expected node content"),
        (
            "a: b: c\n",
            "p.yaml:1:5: is not valid YAML: mapping values are not allowed in this context",
        ),
        ("jobs: 1\njobs: 2\n", "p.yaml:2:1: 'jobs' is already set in line 1"),
        ("jobs: *x\n", "p.yaml:1:7: *x is not defined above"),
        ("jobs: &x [*x]\n", "p.yaml:1:11: *x contains itself"),
        ("a: 1\n---\na: 2\n", "p.yaml:2:1: holds more than one YAML document; split it into files"),
        ("[a]: 1\n", "p.yaml:1:1: a key must be text"),
        ("x: !!int y\n", "p.yaml:1:4: 'y' is not a valid int"),
        (
            "x: !!python/object/apply:os.system [ls]\n",
            "p.yaml:1:4: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed",
        ),
        ("x: " + "[" * 100, "p.yaml:1:67: is nested deeper than 64 levels"),
    ],
)
def test_what_is_no_pipeline_is_refused_at_its_place(project: Path, text: str, told: str) -> None:
    assert told in problems(project, text)


def test_bytes_that_are_not_text_are_refused(project: Path) -> None:
    for data, told in ((b"a: 1\nb: \xff", ":2:4: is not UTF-8"), (b"a: \x07", "not valid YAML")):
        with pytest.raises(InvalidSpec, match=told):
            parse_pipeline(data, path=project / "p.yaml")


@pytest.mark.parametrize("kind", ["list", "merge", "deep"])
def test_a_billion_laughs_end_early(project: Path, kind: str) -> None:
    names = [f"a{at}" for at in range(1500 if kind == "deep" else 30)]
    lines = [f"{names[0]}: &{names[0]} [x]" if kind != "merge" else "a0: &a0 {k: x}"]
    for before, name in itertools.pairwise(names):
        many = ", ".join([f"*{before}"] * (1 if kind == "deep" else 10))
        body = f"{{<<: [{many}], {name}: x}}" if kind == "merge" else f"[{many}]"
        lines.append(f"{name}: &{name} {body}")
    (told,) = problems(project, "\n".join(lines))
    assert "once aliases are followed" in told or "nested deeper" in told


def test_a_file_that_is_too_large_is_refused_unread(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.spec.yaml_file.YAML_BYTES_MAX", 100)
    with pytest.raises(LimitExceeded, match="larger than 100 bytes"):
        load(project, "jobs: [{id: a, command: x}]" + "#" * 100)


def test_a_missing_file_is_what_python_says(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_pipeline(tmp_path / "nope.yaml")


def test_the_list_of_problems_is_bounded(project: Path) -> None:
    jobs = "\n".join(f"  - {{id: j{at}, command: x, depends_on: [k{at}]}}" for at in range(500))
    told = problems(project, f"jobs:\n{jobs}\n")
    assert len(told) <= PROBLEMS_MAX + 1


def test_a_file_left_out_by_an_ignore_rule_is_named(project: Path) -> None:
    (project / ".gitignore").write_text("a.py\n")
    loaded = load(project, "jobs: [{id: a, file: a.py}]\n")
    with pytest.raises(InvalidSpec, match=r"a\.py is left out") as refused:
        loaded.pack()
    assert ".titanignore" in refused.value.hint
    (project / ".titanignore").write_text("!/a.py\n")
    bundle = loaded.pack()
    assert bundle is not None
    with bundle:
        assert "a.py" in bundle.names


ids = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
jobs_strategy = st.lists(
    st.fixed_dictionaries(
        {"id": ids, "command": st.lists(texts, min_size=1, max_size=3).filter(lambda c: c[0])},
        optional={
            "args": st.lists(texts, max_size=4),
            "env": st.dictionaries(
                st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), texts, max_size=3
            ),
            "priority": st.integers(-1000, 1000),
            "retries": st.integers(0, 1000),
            "delay": st.integers(0, 10**6),
            "affinity": st.booleans(),
            "trigger": st.sampled_from(["all_success", "any_failed"]),
        },
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda job: job["id"],
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(declared=jobs_strategy)
def test_what_is_written_is_what_is_read(declared: list[dict[str, Any]], tmp_path: Path) -> None:
    data = yaml.safe_dump({"name": "n", "jobs": declared}, allow_unicode=True).encode()
    spec = parse_pipeline(data, path=tmp_path / "p.yaml").spec
    for job, before in zip(spec.jobs, declared, strict=True):
        assert job.id == before["id"]
        assert job.argv == tuple(word.encode() for word in before["command"])
        assert job.args == tuple(word.encode() for word in before.get("args", []))
        assert job.env == before.get("env", {})
        assert job.delay_ms == 1000 * before.get("delay", 0)
        assert (job.priority, job.retries) == (before.get("priority", 1), before.get("retries", 3))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=80) | st.text("jobs: -[]{}&*<>!|\n'\"#ab1", max_size=80).map(str.encode)
)
def test_any_input_is_read_or_refused(data: bytes, tmp_path: Path) -> None:
    try:
        parse_pipeline(data, path=tmp_path / "p.yaml")
    except InvalidSpec as error:
        refused = error
    else:
        return
    assert refused.problems
