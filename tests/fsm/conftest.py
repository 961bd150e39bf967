from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver


@pytest.fixture
def machine() -> MachineDriver:
    return MachineDriver()
