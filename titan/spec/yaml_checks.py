"""What the jobs of a pipeline's YAML must be together: their graph, conditions and services."""

from __future__ import annotations

from collections.abc import Mapping

from titan.spec import ancestry, gates, graph
from titan.spec.globs import needs_of
from titan.spec.problems import Problems
from titan.spec.service_values import service_faults
from titan.spec.yaml_fields import JobRead


def check_services(reads: list[JobRead], problems: Problems) -> None:
    """What belongs to a service alone, and what a service must have."""
    for read in reads:
        for fault in service_faults(read.attrs, needs_port="port" not in read.places):
            place = read.places.get(fault.field, read.place)
            problems.add(fault.message, field=f"{read.label}.{fault.field}", place=place)


def check_graph(reads: list[JobRead], problems: Problems, *, open_world: bool) -> None:
    """Whether every parent is there and nothing waits for itself."""
    jobs = [  # a job without a valid id still has parents worth checking
        graph.Vertex(
            read.attrs.get("id", read.label),
            read.attrs.get("depends_on", ()),
            needs_of(read.attrs.get("artifacts_in", ())),
        )
        for read in reads
    ]
    owners = list(reads)
    for read in reads:
        if read.attrs.get("hitl_message") and read.attrs.get("type") != "gate":
            job = str(read.attrs.get("id", read.label))
            jobs.append(graph.Vertex(gates.gate_id(job), (job,)))
            owners.append(read)
    for fault in graph.find_faults(jobs, open_world=open_world):
        read = owners[fault.job]
        label = f"{read.label}.{fault.field}" if fault.field else "jobs"
        place = read.places.get(fault.field, read.place)
        problems.add(fault.message, field=label, place=place)
        if problems.is_full:
            return


def check_conditions(
    reads: list[JobRead], parameters: Mapping[str, object], problems: Problems
) -> None:
    """Whether conditions are about jobs above, and about parameters that there are."""
    for fault in ancestry.faults_of_declared([read.attrs for read in reads], parameters):
        read = reads[fault.job]
        place = read.places.get(fault.field, read.place)
        problems.add(fault.message, field=f"{read.label}.{fault.field}", place=place)
