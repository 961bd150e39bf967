"""What the leader asks of a provider. Every call may come twice, also from another leader.

The launch id makes it safe: a provider that knows the id already has done what it is asked.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from titan.errors import TitanError


class ProviderFailed(TitanError):
    """The provider did not start a worker, or did not end one."""

    code = "provider_failed"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, as a provider is to start it."""

    launch: str
    pool: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    ephemeral: bool
    idle_ms: int
    url: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Order({self.launch}, {self.pool})"


class Provider(Protocol):
    """Starts and ends workers. Raises `ProviderFailed` when it will not happen."""

    async def launch(self, order: Order) -> None:
        """Begin to start a worker that registers with `order.launch`; it comes later."""

    async def end(self, order: Order) -> None:
        """Take down whatever is left of a launch; nothing left is fine."""
