"""Tasks and pipelines of calls: the graph, what travels, and what is refused before anything does."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import titan.sdk
from titan.errors import InvalidSpec, LimitExceeded, UserError
from titan.sdk import Node, Task, TitanClient, functions, pipeline, task
from titan.sdk.calls import _root
from titan.sdk.functions import _check_size
from titan.sdk.nodes import NotThereYet
from titan.sdk.projects import SCRIPT_MODULE, home_of
from titan.spec import call_pickles
from titan.spec.call_values import decode_call
from titan.spec.model import Call

HERE = Path(__file__).parent


@task
def add(x: int, y: int = 0) -> int:
    return x + y


@task(retries=0, requirement=["GPU", "BIG"], timeout=5, workspace=True)
def gather(values: list[int], *more: int, **named: int) -> int:
    return sum(values) + sum(more) + sum(named.values())


@task
def pair(one: list[int], other: list[int]) -> int:
    return len(one) + len(other)


@task(serializer="pickle")
def anything(value: object) -> object:
    return value


class Tools:
    @staticmethod
    @task
    def double(x: int) -> int:
        return 2 * x


def call_of(graph: Any, job: str) -> Call:
    spec = next(spec for spec in graph.specs() if spec.id == job)
    assert spec.call is not None
    return spec.call


def test_no_module_of_the_sdk_takes_the_place_of_a_public_name() -> None:
    """Python puts a submodule that is imported later over the package's name of the same name."""
    modules = {path.stem for path in Path(titan.sdk.__file__).parent.glob("*.py")}
    assert not modules & set(titan.sdk.__all__)


# --- calling -----------------------------------------------------------------------------------------


def test_outside_of_a_pipeline_a_task_is_its_function() -> None:
    assert add(1, 2) == 3
    assert add.__name__ == "add"
    assert add.__doc__ is add.__wrapped__.__doc__
    assert Tools.double(3) == 6
    with pytest.raises(TypeError, match="unexpected keyword"):
        add(1, z=2)  # type: ignore[call-arg]


def test_inside_of_a_pipeline_calls_become_nodes_and_arguments_edges() -> None:
    with pipeline("p") as p:
        a = add(1, 2)
        b = add(a, y=3)
        gather([a, b, a], b, last=a)
    assert [(spec.id, spec.depends_on) for spec in p.specs()] == [
        ("add", ()),
        ("add-2", ("add",)),
        ("gather", ("add", "add-2")),
    ]
    assert isinstance(a, Node)
    call = call_of(p, "gather")
    assert (call.module, call.name, call.inputs) == (__name__, "gather", ("add", "add-2"))
    assert decode_call(call.args, [10, 20]) == ([[10, 20, 10], 20], {"last": 10})
    assert add(1, 1) == 2  # the block is over


def test_options_go_into_the_declaration_of_the_job() -> None:
    with pipeline("p") as p:
        first = gather([1])
        gather.options(job_id="mine", retries=7, after=[first])([2])
    one, other = p.specs()
    assert (one.retries, one.timeout_ms, one.requirement) == (0, 5000, ("BIG", "GPU"))
    assert (other.id, other.retries, other.depends_on) == ("mine", 7, ("gather",))
    assert call_of(p, "mine").inputs == ()
    assert call_of(p, "mine").workspace


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=30))
def test_any_graph_has_the_edges_that_its_arguments_make(wanted: list[list[int]]) -> None:
    made: list[Any] = []
    with pipeline("p") as p:
        for parents in wanted:
            made.append(gather([made[n] for n in parents if n < len(made)]))
    for at, (spec, parents) in enumerate(zip(p.specs(), wanted, strict=True)):
        assert list(spec.depends_on) == list(dict.fromkeys(made[n].id for n in parents if n < at))
    assert len({spec.id for spec in p.specs()}) == len(wanted)


def test_calls_of_one_name_are_numbered_and_never_meet() -> None:
    with pipeline("p") as p:
        add.options(job_id="add-2")(1)
        add(1)
        add(1)
        add.options(job_id="add-2")(1)
    assert list(p.nodes) == ["add-2", "add", "add-3", "add-2-2"]


# --- what is refused ---------------------------------------------------------------------------------


def test_a_node_is_not_its_value() -> None:
    with pipeline("p"):
        node: Any = add(1, 2)
        for use in (bool, int, list, len, lambda n: n + 1, lambda n: n > 1, lambda n: n[0]):
            with pytest.raises(NotThereYet, match="'add' has not run yet"):
                use(node)


def test_a_node_of_another_pipeline_is_refused() -> None:
    with pipeline("a"):
        stranger = add(1, 2)
    with pipeline("b"), pytest.raises(UserError, match="node of another pipeline"):
        add(stranger)


def test_arguments_are_checked_when_the_call_is_made() -> None:
    with pipeline("p") as p:
        with pytest.raises(TypeError, match="missing a required argument: 'x'"):
            add()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"argument 'x' of add: Expected `int`, got `str`"):
            add("1")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"argument 'y' of add: a value of type object cannot"):
            add(1, y=object())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"argument 'more\[1\]' of gather: .*\.Tools cannot"):
            gather([], 1, Tools())  # type: ignore[arg-type]
    assert not p.nodes


def test_a_large_argument_travels_as_one_blob_however_many_calls_are_given_it() -> None:
    shared = list(range(20_000))
    with pipeline("p") as p:
        first = gather(shared, 1)
        gather(shared, first, last=first)
        gather([first, *shared])
    one, other, mixed = (call_of(p, job) for job in p.nodes)
    assert one.blobs == other.blobs
    assert len(p.blobs()) == 2
    for call in (one, other, mixed):
        assert len(call.args) < 100
        assert not call.args_are_blob
        assert [len(p.blobs()[ref.digest]) for ref in call.blobs] == [
            ref.size for ref in call.blobs
        ]
        assert [hashlib.sha256(p.blobs()[r.digest]).hexdigest() for r in call.blobs] == [
            ref.digest for ref in call.blobs
        ]
    blobs = [p.blobs()[ref.digest] for ref in other.blobs]
    assert decode_call(other.args, [7], blobs) == ([shared, 7], {"last": 7})
    (blob,) = (p.blobs()[ref.digest] for ref in mixed.blobs)
    assert decode_call(mixed.args, [7], [blob]) == ([[7, *shared]], {})


def test_a_wrong_large_argument_and_one_beyond_the_limit_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pipeline("p") as p:
        with pytest.raises(TypeError, match=r"argument 'values' of gather: Expected `int`"):
            gather(["x" * 100_000])  # type: ignore[list-item]
        monkeypatch.setattr(functions, "CALL_BLOB_BYTES_MAX", 100_000)
        monkeypatch.setattr(_check_size, "__defaults__", (100_000,))
        with pytest.raises(LimitExceeded, match=r"argument 'values' of gather: \d+ bytes; at most"):
            gather([10**9] * 60_000)
        with pytest.raises(LimitExceeded, match="one of the arguments of anything: "):
            anything("x" * 100_001)
        monkeypatch.setattr(functions, "CALL_BLOBS_BYTES_MAX", 150_000)
        with pytest.raises(LimitExceeded, match="the arguments of pair: "):
            pair([10**9] * 18_000, [10**9] * 18_000)
    assert not p.nodes
    assert not p.blobs()


def test_pickle_is_a_choice_of_the_task() -> None:
    with pipeline("p") as p:
        anything([add(1), {1j}])
        with pytest.raises(TypeError, match="the arguments of anything: it cannot be pickled"):
            anything(lambda: None)
    call = call_of(p, "anything")
    assert call_pickles.loads(call.args, ["one"]) == ([["one", {1j}]], {})
    assert call.serializer == "pickle"


def test_wrong_options_are_refused_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="no option 'colour'"):
        task(colour=1)(len)  # type: ignore[call-overload]
    with pytest.raises(InvalidSpec, match="retries"):
        task(retries=-1)(len)
    with pytest.raises(UserError, match="serializer 'dill'"):
        task(serializer="dill")(len)

    async def later() -> None: ...

    with pytest.raises(UserError, match="plain function"):
        task(later)


def test_functions_that_nobody_can_import_are_refused_in_a_pipeline_only() -> None:
    @task
    def inner(x: int) -> int:
        return x

    assert inner(1) == 1
    with pipeline("p"), pytest.raises(UserError, match="inside of a function"):
        inner(1)


# --- where functions live ----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "shop" / "parts"
    package.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text("def top(): ...")
    (package / "__init__.py").write_text("")
    (package / "wheels.py").write_text("def turn(): ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


def test_a_package_travels_from_the_folder_that_holds_its_top(project: Path) -> None:
    import shop  # type: ignore[import-not-found]
    import shop.parts.wheels  # type: ignore[import-not-found]

    assert home_of(shop.top) == ("shop", "top", "", project)
    assert home_of(shop.parts.wheels.turn) == ("shop.parts.wheels", "turn", "", project)


def test_a_script_is_imported_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "run.py"
    script.write_text("def go(): ...")
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    exec(compile(script.read_text(), str(script), "exec"), main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert home_of(main.go) == (SCRIPT_MODULE, "go", "run.py", tmp_path)


def test_what_is_installed_does_not_travel() -> None:
    assert home_of(re.compile).root is None
    assert home_of(pytest.importorskip).root is None


def test_functions_of_several_projects_do_not_meet_in_one_pipeline(project: Path) -> None:
    import shop

    homes = [home_of(shop.top), home_of(add.__wrapped__)]
    with pytest.raises(UserError, match="imported from several folders"):
        _root(homes, None)
    with pytest.raises(UserError, match="which is not the project"):
        _root(homes, project)
    assert _root(homes[:1], project) == project


def test_a_module_that_submits_while_it_is_imported_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TITAN_IMPORTING", "mine")
    with pipeline("p") as p:
        add(1)
    with (
        TitanClient("127.0.0.1:1") as client,
        pytest.raises(UserError, match="module mine submits"),
    ):
        p.submit(client)


# --- type checkers -----------------------------------------------------------------------------------


def mypy(*files: Path, cwd: Path) -> tuple[int, str]:
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--follow-imports=silent",
            *files,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr


def test_type_checkers_accept_user_code_and_find_its_mistakes(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from titan.sdk import TitanClient, pipeline, task\n"
        "@task(retries=1)\ndef add(x: int, y: int) -> int:\n    return x + y\n"
        "@task\ndef name() -> str:\n    return ''\n"
        "with pipeline('p') as p:\n"
        "    add(name(), 1)\n"  # an edge of the wrong type
        "    add(1)\n"
        "TitanClient().submit(add, 'x', 2)\n"
        "@task(colour='red')\ndef f() -> None: ...\n"
    )
    code, said = mypy(HERE / "typed_functions.py", wrong, cwd=HERE.parents[1])
    assert code == 1, said
    assert "typed_functions.py" not in said
    lines = sorted({int(number) for number in re.findall(r"wrong\.py:(\d+): error", said)})
    assert lines == [9, 10, 11, 12], said


def test_a_task_may_be_named_by_its_type() -> None:
    kept: Task[[int, int], int] = add
    assert repr(kept) == "<task add>"
