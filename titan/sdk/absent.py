"""What people know from Titan v1 and this version does not have: asking for it says so.

Later work deletes rows. The error is also an `AttributeError`, so `hasattr` tells the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from titan.errors import UserError

_ABSENT: Final = {
    "delete_secret": "secrets",
    "set_secret": "secrets",
}


class NotInThisVersion(UserError, AttributeError):
    """This version of Titan cannot do that yet."""

    code = "not_supported"


class KnowsWhatIsAbsent:
    """Mixin: a clear error for the names above."""

    if not TYPE_CHECKING:  # a type checker is to see that they are missing

        def __getattr__(self, name: str) -> NoReturn:
            what = _ABSENT.get(name)
            if what is None:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            raise NotInThisVersion(f"{name}: this version of Titan has no {what} yet")
