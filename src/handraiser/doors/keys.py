"""Who calls: API keys, checked against the store and remembered for seconds, so that a receipt outlives the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from handraiser.core.shop import Shop
from handraiser.core.value import dataclass
from handraiser.doors.web import Problem
from handraiser.errors import Fault, StoreUnavailable
from handraiser.store.access import ApiKey, split

FRESH_MS = 5_000
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated key and the shop it speaks for."""

    key: ApiKey
    shop: Shop


FindKey = Callable[[str], Awaitable[tuple[ApiKey, Shop] | None]]


class Keys:
    """Checks ``Authorization: Bearer hr_<keyid>_<secret>``.

    A revoked key works for at most five seconds more; while the store is down, keys seen before go on working, because
    the receipt must go out.
    """

    def __init__(self, find: FindKey, clock: Callable[[], int]) -> None:
        self._find = find
        self._clock = clock
        self._seen: dict[str, tuple[int, ApiKey, Shop]] = {}

    async def caller(self, request: web.Request, scope: str) -> Caller:
        """The caller, or 401 (no valid key) or 403 (the key lacks ``scope``)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        parts = split(token.strip()) if scheme.lower() == "bearer" else None
        found = await self._look_up(parts[0]) if parts else None
        if parts is None or found is None or not found[0].fits(parts[1]):
            fault = Fault(
                "Authorization", "invalid_key", "send Authorization: Bearer hr_… with a key that is not revoked"
            )
            raise Problem(401, faults=[fault], headers={"WWW-Authenticate": 'Bearer realm="handraiser"'})
        if scope not in found[0].scopes and "admin" not in found[0].scopes:
            raise Problem(403, f"This key lacks the scope “{scope}”.")
        return Caller(*found)

    def remember(self, known: Iterable[tuple[ApiKey, Shop]]) -> None:
        """Know these keys from the start: a process that has just begun outlives the store as one that has not."""
        # Not fresh at any time: as long as the store answers, it is asked.
        self._seen |= {key.key_id: (self._clock() - FRESH_MS, key, shop) for key, shop in known}

    def forget(self) -> None:
        """Ask the store anew for every key, as after five seconds."""
        self._seen.clear()

    async def _look_up(self, key_id: str) -> tuple[ApiKey, Shop] | None:
        now = self._clock()
        seen = self._seen.get(key_id)
        if seen is not None and 0 <= now - seen[0] < FRESH_MS:  # not later than now: the clock may be set back
            return seen[1], seen[2]
        try:
            found = await self._find(key_id)
        except StoreUnavailable:
            if seen is None:
                raise
            return seen[1], seen[2]
        if found is None:
            self._seen.pop(key_id, None)
            return None
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[key_id] = (now, *found)
        return found
