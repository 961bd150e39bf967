"""All checks of a history, in the order of the report."""

from __future__ import annotations

from chaos.checkers.availability import check_availability
from chaos.checkers.linear import check_keys
from chaos.checkers.locks import check_locks
from chaos.checkers.order import check_order
from chaos.checkers.replicas import check_replicas
from chaos.checkers.runs import check_runs
from chaos.checkers.services import check_services
from chaos.checkers.violation import Violation
from chaos.history import History

CHECKS = (
    check_keys,
    check_order,
    check_locks,
    check_runs,
    check_services,
    check_replicas,
    check_availability,
)


def check(history: History) -> list[Violation]:
    """Every violation; none means that every check held."""
    return [violation for one in CHECKS for violation in one(history)]
