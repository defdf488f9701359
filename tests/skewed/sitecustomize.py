"""Python's start-up hook for a service whose clock is SKEW_SECONDS off: put this folder before all others."""

import os
import time

_real, _skew = time.time_ns, int(os.environ["SKEW_SECONDS"]) * 1_000_000_000
time.time_ns = lambda: _real() + _skew
