"""What a `TitanJob` accepts, and what its files become."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from titan.errors import InvalidSpec, LimitExceeded
from titan.fsm.commands import SubmitRun, encode_command
from titan.fsm.submission import COMMAND_BYTES_MAX, parents_first, split
from titan.ids import Digest, JobId, RunId
from titan.limits import JOB_SPEC_BYTES_MAX, STAGE_JOBS_MAX
from titan.sdk import TitanJob
from titan.sdk.packing import entry_point, pack
from titan.spec.model import Input, JobSpec


def test_the_shortest_job_is_the_model_with_its_defaults() -> None:
    assert TitanJob("a", command="true").to_spec() == JobSpec(id=JobId("a"), shell=b"true")


def test_every_field_reaches_the_model_in_its_unit() -> None:
    job = TitanJob(
        "b",
        job_type="TASK",
        args="x 'y z' |;",
        parents=["DAG-a", "a"],
        priority=7,
        delay=1500,
        affinity=True,
        requirement=["GPU", "HIGH_MEM"],
        command=["echo", 1, b"\xff"],
        env={"N": 1, "FLAG": True},
        trigger="all_done",
        resources={"cpus": 0.5, "slots": 2},
        retries=0,
        retry_backoff_ms=5,
        retry_backoff_cap_ms=6,
        no_retry_exit_codes=[2, 1],
        timeout=1.5,
        queue_timeout=2,
    )
    assert job.to_spec() == JobSpec(
        id=JobId("b"),
        argv=(b"echo", b"1", b"\xff"),
        args=(b"x", b"y z", b"|;"),
        env={"N": "1", "FLAG": "true"},
        depends_on=(JobId("a"),),
        trigger="all_done",
        requirement=("GPU", "HIGH_MEM"),
        resources={"cpu_milli": 500, "slots": 2},
        priority=7,
        delay_ms=1500,
        affinity=True,
        retries=0,
        retry_backoff_ms=5,
        retry_backoff_cap_ms=6,
        no_retry_exit_codes=(1, 2),
        timeout_ms=1500,
        queue_timeout_ms=2000,
    )


def test_arguments_that_are_not_text_survive() -> None:
    assert TitanJob("a", command="x", args=b"\xff \n").to_spec().args == (b"\xff \n",)
    assert TitanJob("a", command="x", args=["|", ";\n", b"\xfe"]).to_spec().args == (
        b"|",
        b";\n",
        b"\xfe",
    )


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(InvalidSpec) as refused:
        TitanJob("a b", command="x", trigger="all_sucess", retries=-1, approvers=0, port=80)
    assert refused.value.problems == (
        "job 'a b': id: 'a b' must be 1 to 128 characters of A-Z a-z 0-9 . _ -",
        "job 'a b': trigger: 'all_sucess' is not one of all_success, all_done, any_success, "
        "any_failed, none_failed; did you mean 'all_success'?",
        "job 'a b': retries: must be between 0 and 1000, not -1",
        "job 'a b': approvers: must be between 1 and 64, not 0",
        "job 'a b': port: only a service has 'port'; set type: service",
    )


def test_gates_and_saved_pipelines_run_nothing_themselves() -> None:
    gate = TitanJob("g", job_type="gate", hitl_message="Ok?", form={"n": "int"}).to_spec()
    assert (gate.type, gate.hitl_message, gate.form) == ("gate", "Ok?", {"n": Input("int")})
    sub = TitanJob("s", job_type="pipeline", pipeline="p", version=2, parameters={"x": 1}).to_spec()
    assert (sub.pipeline, sub.pipeline_version, sub.parameters) == ("p", 2, {"x": 1})
    v1 = TitanJob("v", command="x", hitl_message="Go on?", max_wait_seconds=60).to_spec()
    assert (v1.type, v1.hitl_message, v1.max_wait_ms) == ("run", "Go on?", 60_000)
    for wrong, match in (
        ({"job_type": "gate", "command": "x"}, "runs nothing itself"),
        ({"job_type": "pipeline"}, "belongs to jobs of type pipeline"),
        ({"command": "x", "pipeline": "p"}, "belongs to jobs of type pipeline"),
        ({"command": "x", "form": {"n": "int"}}, "give the job a hitl_message"),
        ({"job_type": "gate", "form": {"n": {"tipe": "int"}}}, "did you mean 'type'"),
        ({"job_type": "gate", "approvers": {"count": 3, "users": ["ann"]}}, "3 approvals"),
    ):
        with pytest.raises(InvalidSpec, match=match):
            TitanJob("a", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidSpec, match="at most 118 characters"):
        TitanJob("x" * 119, command="x", hitl_message="?")


def test_a_job_has_exactly_one_thing_to_run(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.touch()
    for wrong in (
        {},
        {"command": "x", "script_content": "y"},
        {"filename": script, "command": "x"},
    ):
        with pytest.raises(InvalidSpec, match="exactly one"):
            TitanJob("a", **wrong)  # type: ignore[arg-type]


def test_a_job_that_was_changed_after_it_was_made_is_declared_as_it_is_now() -> None:
    job = TitanJob("a", command=["true", "x"], env={"A": "1"}, parents=["p"])
    same = TitanJob("b", command=["true", "x"], parents=["p"])
    assert same.to_spec() is same.to_spec(), "read again although nothing has changed"
    job.env["A"] = "2"  # type: ignore[index]
    assert job.to_spec().env == {"A": "2"}
    same.command.append("y")  # type: ignore[union-attr]
    same.parents.append("q")
    same.priority = 7
    spec = same.to_spec(bundle="0" * 64)
    assert (spec.argv, spec.depends_on, spec.priority) == ((b"true", b"x", b"y"), ("p", "q"), 7)
    assert spec.bundle == "0" * 64
    same.trigger = "sometimes"
    with pytest.raises(InvalidSpec, match="trigger"):
        same.to_spec()


def test_a_missing_file_and_an_unknown_field_are_found_at_construction() -> None:
    with pytest.raises(FileNotFoundError, match=r"nope\.py"):
        TitanJob("a", "nope.py")
    with pytest.raises(TypeError, match="nonsense"):
        TitanJob("a", command="x", nonsense=1)  # type: ignore[call-arg]


def test_files_keep_their_places_and_scripts_get_some(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "sub/a.py"):
        (tmp_path / name).write_text(name)
    jobs = [
        TitanJob("one", tmp_path / "a.py"),
        TitanJob("two", tmp_path / "sub" / "a.py"),
        TitanJob("again", tmp_path / "a.py"),
        TitanJob("text", script_content="print(1)"),
        TitanJob("shell", script_content="#!/bin/bash\necho 1"),
        TitanJob("none", command="true"),
    ]
    packed = pack(jobs)
    assert [spec.file for spec in packed.specs] == [
        "a.py",
        "sub/a.py",
        "a.py",
        ".titan/text.py",
        ".titan/shell.sh",
        "",
    ]
    assert packed.bundle is not None
    with packed.bundle as bundle, tarfile.open(fileobj=io.BytesIO(bundle.rewind().read())) as tar:
        assert set(tar.getnames()) == {spec.file for spec in packed.specs if spec.file}


def test_jobs_without_files_need_no_bundle() -> None:
    assert pack([TitanJob("a", command="true")]).bundle is None


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


@pytest.mark.parametrize(
    ("names", "entry"),
    [
        (("main.py", "a.py"), "main.py"),
        (("__main__.py", "a.py"), "__main__.py"),
        (("only.sh", "lib/a.py", "data"), "only.sh"),
        (("lib/only.py", "data"), "lib/only.py"),
        (("project/main.py", "project/lib/main.py"), "project/main.py"),
    ],
)
def test_an_archive_runs_its_entry_point(
    tmp_path: Path, names: tuple[str, ...], entry: str
) -> None:
    archive = zipped(tmp_path / "p.zip", *names)
    packed = pack([TitanJob("a", archive, is_archive=True)])
    (spec,) = packed.specs
    assert spec.file == entry
    assert packed.archives == {spec.bundle: archive}


def test_an_archive_without_one_entry_point_or_with_escaping_names_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidSpec, match="cannot tell which"):
        entry_point(zipped(tmp_path / "two.zip", "a.py", "b.py"))
    with pytest.raises(InvalidSpec, match="outside of its folder"):
        entry_point(zipped(tmp_path / "bad.zip", "main.py", "../evil.py"))
    (tmp_path / "no.zip").write_text("no zip")
    with pytest.raises(InvalidSpec, match="not a zip"):
        entry_point(tmp_path / "no.zip")
    archive = zipped(tmp_path / "c.zip", "a.py", "b.py")
    (spec,) = pack([TitanJob("a", archive, is_archive=True, command="python a.py")]).specs
    assert (spec.file, spec.shell, bool(spec.bundle)) == ("", b"python a.py", True)


def test_a_path_in_an_uploaded_bundle_is_not_looked_for_here() -> None:
    digest = "0" * 64
    (spec,) = pack([TitanJob("a", "src/a.py", bundle=digest)]).specs
    assert (spec.file, spec.bundle) == ("src/a.py", digest)
    with pytest.raises(InvalidSpec, match="digest"):
        TitanJob("a", "src/a.py", bundle="nonsense")


def submit_of(*jobs: JobSpec) -> SubmitRun:
    return SubmitRun(run=RunId("r-1"), name="n", jobs=jobs, bundle=Digest("0" * 64))


def test_a_submission_is_split_so_that_every_command_fits() -> None:
    jobs = tuple(JobSpec(id=JobId(f"j{at}"), argv=(b"x" * (at % 5000),)) for at in range(1, 1500))
    stages, final = split(submit_of(*jobs))
    assert final.parts == len(stages) > 1
    assert [stage.part for stage in stages] == list(range(len(stages)))
    assert tuple(job for one in (*stages, final) for job in one.jobs) == jobs
    assert max(len(encode_command(one)) for one in (*stages, final)) <= COMMAND_BYTES_MAX
    assert split(submit_of(jobs[0])).stages == ()


def test_a_submission_that_is_split_goes_parents_first_and_otherwise_in_the_users_order() -> None:
    def one(name: str, *parents: str) -> JobSpec:
        return JobSpec(id=JobId(name), argv=(b"x",), depends_on=tuple(map(JobId, parents)))

    mixed = (one("d", "b", "c"), one("x"), one("b", "a"), one("a"), one("c", "a"), one("y"))
    assert [job.id for job in parents_first(mixed)] == ["x", "a", "b", "c", "d", "y"]
    in_order = parents_first(mixed[1:2])
    assert parents_first(in_order) is in_order
    chain = [one(f"j{n}", *([f"j{n - 1}"] if n else [])) for n in range(STAGE_JOBS_MAX + 1)]
    stages, final = split(submit_of(*reversed(chain)))
    assert [job.id for part in (*stages, final) for job in part.jobs] == [job.id for job in chain]
    assert max(len(part.jobs) for part in stages) == STAGE_JOBS_MAX


def test_a_job_that_fits_nowhere_is_named() -> None:
    with pytest.raises(LimitExceeded, match="'big'"):
        split(submit_of(JobSpec(id=JobId("big"), argv=(b"x" * JOB_SPEC_BYTES_MAX,))))
    many = tuple(JobId(f"job-{at:06}") for at in range(30_000))
    with pytest.raises(LimitExceeded, match="fan-in"):
        split(submit_of(JobSpec(id=JobId("fan-in"), shell=b"x", depends_on=many)))
    some = many[:15_000]  # more than JOB_SPEC_BYTES_MAX, but parents do not count there
    assert split(submit_of(JobSpec(id=JobId("fan-in"), shell=b"x", depends_on=some))).final
