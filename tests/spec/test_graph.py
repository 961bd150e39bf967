"""The graph checks against a naive model, and at sizes that recursion would not survive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from titan.limits import JOBS_PER_RUN_MAX
from titan.spec.graph import Vertex, find_cycles, find_faults
from titan.spec.problems import nearest

graphs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghXY"), max_size=4), max_size=8
)


def is_acyclic(parents: dict[str, list[str]]) -> bool:
    """Take away what has no parents left, until nothing moves."""
    left = {job: {one for one in of if one in parents} for job, of in parents.items()}
    while free := [job for job, of in left.items() if not of]:
        for job in free:
            del left[job]
        for of in left.values():
            of.difference_update(free)
    return not left


@given(graphs)
def test_cycles_are_found_exactly_when_there_are_some(parents: dict[str, list[str]]) -> None:
    order = {job: at for at, job in enumerate(parents)}
    cycles = list(find_cycles(parents, order=order))
    assert bool(cycles) is not is_acyclic(parents)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert cycle[0] == min(cycle, key=order.__getitem__)
        following = [*cycle[1:], cycle[0]]
        assert all(job in parents[child] for job, child in zip(cycle, following, strict=True))


@given(graphs)
def test_unknown_parents_are_named_each(parents: dict[str, list[str]]) -> None:
    jobs = [Vertex(job, of) for job, of in parents.items()]
    found = [fault for fault in find_faults(jobs) if "unknown parent" in fault.message]
    expected = [
        (at, one) for at, job in enumerate(jobs) for one in job.parents if one not in parents
    ]
    assert [fault.job for fault in found] == [at for at, _ in expected]
    assert not any("unknown" in fault.message for fault in find_faults(jobs, open_world=True))


def test_a_chain_of_a_hundred_thousand_jobs_is_checked() -> None:
    size = 100_000
    chain = [Vertex(str(at), [str(at - 1)] if at else []) for at in range(size)]
    assert list(find_faults(chain)) == []
    assert list(find_faults(chain[::-1])) == []
    chain[0] = Vertex("0", [str(size - 1)])
    (fault,) = find_faults(chain)
    assert fault.message == (
        "cycle: 0 → 1 → 2 → 3 → 4 → 5 → (99989 more) → 99995 → 99996 → 99997 → 99998 → 99999 → 0"
    )


def test_duplicates_and_self_parents_are_faults() -> None:
    jobs = [Vertex("a", ["a"]), Vertex("b", []), Vertex("b", [])]
    assert [fault.message for fault in find_faults(jobs)] == [
        "'b' is already the id of job 2",
        "cycle: a → a",
    ]


def test_too_many_jobs_are_one_fault() -> None:
    jobs = [Vertex("a", [])] * (JOBS_PER_RUN_MAX + 1)
    (fault,) = find_faults(jobs)
    assert "at most" in fault.message


def test_the_nearest_name_ignores_case_and_is_not_far_fetched() -> None:
    assert nearest("DependsOn", ["depends_on", "delay"]) == "depends_on"
    assert nearest("zzz", ["depends_on", "delay"]) is None
