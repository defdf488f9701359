"""Values computed once with scipy, statsmodels, savvi and ville, which none of this needs to be installed for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())
