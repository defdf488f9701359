"""Regular expressions that others write, over mail that strangers write: RE2, whose time is linear in the input.

There is no backtracking to be made to blow up; look-around and back-references, which need it, are refused by name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PATTERN_LENGTH = 500
SEARCHED = 200_000
"""How many characters of a mail are searched."""
_MEMORY = 1 << 20


def pattern_fault(text: str) -> str:
    """Why a pattern cannot be used; "" when it can."""
    import re2  # 4 MB that only shops with rules need

    if len(text) > PATTERN_LENGTH:
        return f"a pattern has at most {PATTERN_LENGTH} characters"
    try:
        _compiled(text)
    except re2.error as error:
        told = error.args[0]
        said = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        return f"no pattern of RE2 (https://github.com/google/re2/wiki/Syntax): {said}"
    return ""


def find(pattern: str, text: str) -> str | None:
    """What the first group of a checked pattern finds (without a group: all of it), or None."""
    # RE2 reads UTF-8, in which half a surrogate pair has no place.
    found = _compiled(pattern).search(text[:SEARCHED].encode("utf-8", "replace").decode())
    if found is None:
        return None
    value: str | None = found.group(1 if found.re.groups else 0)
    return value


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile(pattern, options)
