"""Values: frozen to the type checker, and as quick to make as any other object.

Each field of a dataclass that is frozen at run time costs a call of ``object.__setattr__``; an email makes some two
hundred fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, **options: Any) -> Callable[[type], type]:
        """``dataclasses.dataclass``, whose ``frozen`` only the type checker enforces."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)


__all__ = ["dataclass"]
