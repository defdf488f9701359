"""The secrets of an installation that was given none: generated once, kept in its state folder for its owner alone."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handraiser.errors import StoreError


@dataclass(slots=True)
class Keeper:
    """A small JSON file of secrets, mode 0600, written all or nothing."""

    path: Path
    values: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Keeper:
        """Read what an earlier start made; a damaged file is an error, because new keys would break every old link."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "secrets.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({type(error).__name__}); restore it from a backup") from None
        return cls(path, values)

    def secret(self, name: str) -> str:
        """The key list of this name (``1:…``), made and kept when it is asked for first."""
        if name not in self.values:
            self.keep(name, f"1:{secrets.token_hex(32)}")
        return str(self.values[name])

    def keep(self, name: str, value: Any) -> None:
        """Write all or nothing, readable by the owner alone from its first byte."""
        self.values[name] = value
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
        fresh.replace(self.path)
