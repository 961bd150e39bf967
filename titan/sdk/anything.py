"""`ANY`: the value that stands for whatever value there is. In a file of its own because it is light."""

from __future__ import annotations

import enum
from typing import Final


class AnyValue(enum.Enum):
    """The type of `ANY`."""

    ANY = "any value"

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = AnyValue.ANY
