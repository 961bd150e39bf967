"""Chaos tests with real processes get more time than others."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/chaos" in str(item.path) and item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.timeout(180))
