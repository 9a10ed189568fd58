"""A process under libfaketime imports this first: `time.sleep` works again.

Python sleeps by `clock_nanosleep` with an absolute time of the monotonic clock. libfaketime 0.9.10 moves that time by
its offset, although the monotonic clock stays as it is, and the kernel answers EINVAL.
"""

import threading
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    threading.Event().wait(float(seconds))


time.sleep = _sleep
