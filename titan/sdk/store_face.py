"""The key-value store and locks, for code without asyncio: the twin of `store.py` and `locks.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from titan.sdk.anything import ANY, AnyValue
from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.queries import KvView, LockView
    from titan.sdk.fencing import Fence
    from titan.sdk.locks import AsyncLock
    from titan.sdk.watching import KeyChange

T = TypeVar("T")
Expected = str | bytes | float | Callable[[str | bytes | None], bool] | AnyValue | None


class StoreFace(Face):
    """What `TitanClient` has of the store."""

    # --- key-value store ------------------------------------------------------------------------

    def store_put(
        self,
        key: str,
        value: str | bytes | float,
        *,
        ttl_s: float | None = None,
        if_lock: Fence | None = None,
    ) -> int:
        """Set a key, for `ttl_s` seconds or for ever; answers its version. Numbers become text.

        With `if_lock` (a lock, or its name and token) this and every other write is refused with
        `lock_lost` once the lock has passed to somebody else.
        """
        return self._call(self._here().store_put(key, value, ttl_s=ttl_s, if_lock=if_lock))

    def store_get(self, key: str) -> str | bytes | None:
        """The value, or None for a missing key."""
        return self._call(self._here().store_get(key))

    def store_delete(self, key: str, *, if_lock: Fence | None = None) -> bool:
        """Remove a key of any kind; answers whether it was there."""
        return self._call(self._here().store_delete(key, if_lock=if_lock))

    def store_cas(
        self,
        key: str,
        expected: str | bytes | float | None,
        value: str | bytes | float,
        *,
        ttl_s: float | None = None,
        if_lock: Fence | None = None,
    ) -> bool:
        """Set a key only if it holds `expected` (None: only if it is missing); answers whether it was."""
        work = self._here().store_cas(key, expected, value, ttl_s=ttl_s, if_lock=if_lock)
        return self._call(work)

    def store_incr(self, key: str, by: int = 1, *, if_lock: Fence | None = None) -> int:
        """Add to a counter; a missing key counts as 0. Answers the new value."""
        return self._call(self._here().store_incr(key, by, if_lock=if_lock))

    def store_sadd(self, key: str, member: str, *, if_lock: Fence | None = None) -> int:
        """Add a member to a set; answers 1 if it is new, else 0."""
        return self._call(self._here().store_sadd(key, member, if_lock=if_lock))

    def store_srem(self, key: str, member: str, *, if_lock: Fence | None = None) -> int:
        """Remove a member from a set; answers 1 if it was there, else 0."""
        return self._call(self._here().store_srem(key, member, if_lock=if_lock))

    def store_smembers(self, key: str) -> list[str]:
        """The members in the order in which they came; [] for a missing key."""
        return self._call(self._here().store_smembers(key))

    def store_list(self, prefix: str = "") -> list[KvView]:
        """Every key with the prefix, sorted, with values."""
        return self._call(self._here().store_list(prefix))

    def watch(self, prefix: str = "") -> Iterator[KeyChange]:
        """Keys with the prefix: what is there first, then each change, through failovers, without end.

        Every change is told once and in order; see `docs/coordination.md`.
        """
        return self._iterate(self._here().watch(prefix))

    def wait_for(
        self,
        key: str,
        expected: Expected = ANY,
        timeout: float | None = None,
    ) -> str | bytes | None:
        """Wait until a key has the value `expected`, or one for which `expected(value)` is true, or, by
        default, any; None waits until it is missing. Pushed, not polled. Answers the value.

        A value that lasts only a moment may be missed. Raises `TimedOut` after `timeout` seconds.
        """
        return self._call(self._here().wait_for(key, expected, timeout))

    # --- locks ----------------------------------------------------------------------------------

    def lock(
        self,
        name: str,
        *,
        ttl_s: float = 30.0,
        timeout: float | None = None,
        slots: int = 1,
        data: str = "",
    ) -> Lock:
        """A lock that nobody else can hold, for a `with` block or to acquire by hand.

        In the block it is kept for as long as the block runs. `timeout` is how long to wait for it
        there; `TimedOut` is raised after it. It ends `ttl_s` after the holder was last heard of, and
        inside a task with the attempt. `slots` makes a semaphore that so many may hold; `data` is
        shown to others by `list_locks`.
        """
        made = self._here().lock(name, ttl_s=ttl_s, timeout=timeout, slots=slots, data=data)
        return Lock(self, made)

    def list_locks(self, prefix: str = "") -> list[LockView]:
        """The locks that are held, by name, with their holders and how many wait."""
        return self._call(self._here().list_locks(prefix))


class Lock:
    """A lock in the hand of code without asyncio. Made by `TitanClient.lock`; not shared between
    threads."""

    def __init__(self, client: StoreFace, inner: AsyncLock) -> None:
        self._client = client
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def name(self) -> str:
        """Of the lock."""
        return self._inner.name

    @property
    def token(self) -> int:
        """The fencing token of the hold; grows with every grant. 0 when it is not held."""
        return self._inner.token

    @property
    def is_held(self) -> bool:
        """Whether it is certainly held at this moment. A pause may follow: use `if_lock` to be safe."""
        return self._inner.is_held

    def acquire(self, *, wait: bool = True, timeout: float | None = None) -> bool:
        """Take the lock; answers whether it was got. Waits its turn unless `wait` is false.

        It is held for `ttl_s`, until `renew` or `release`.
        """
        return self._client._call(self._inner.acquire(wait=wait, timeout=timeout))

    def renew(self) -> None:
        """Hold it for `ttl_s` from now. Raises `Conflict` (`lock_lost`) when it was lost."""
        self._client._call(self._inner.renew())

    def release(self) -> bool:
        """Give it up; answers whether it was still held."""
        return self._client._call(self._inner.release())

    def __enter__(self) -> Lock:
        self._client._call(self._inner.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client._call(self._inner.__aexit__(kind, error, at))
