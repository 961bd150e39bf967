"""What every order shares: who may give it, and since which version masters can read it."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="!"):
    """Base of every order."""

    client_may: ClassVar[bool] = False
    since: ClassVar[int] = 1  # the `VERSION` that brought it

    def needs_version(self) -> int:
        """The version that all masters must have before this very order may be proposed."""
        return self.since


class ClientCommand(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the orders that a client may give."""

    client_may: ClassVar[bool] = True
