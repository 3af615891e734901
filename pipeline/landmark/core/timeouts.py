"""Seconds for which a server is waited for, of which `LANDMARK_TIMEOUT_S` is the measure."""

import os
from math import inf

from landmark.core.errors import InputError

_DEFAULT_S = 60.0


def _read_timeout(text: str) -> float:
    """Parse the variable.

    Raises:
        InputError: it is no positive number.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < inf:
        remedy = "unset it, or give the seconds for which a server may be silent"
        raise InputError("not a number of seconds above 0", key="LANDMARK_TIMEOUT_S", value=text, remedy=remedy)
    return seconds


# A server may be silent for so long.
TIMEOUT_S = _read_timeout(os.environ.get("LANDMARK_TIMEOUT_S", f"{_DEFAULT_S:g}"))
# All other times are in proportion to it.
PACE = TIMEOUT_S / _DEFAULT_S
CONNECT_S = 20 * PACE
# A response takes at most so long, and longer only at a sufficient rate.
RESPONSE_S = 300 * PACE
# Back-off between attempts where the server names none.
BACKOFF_S = tuple(PACE * seconds for seconds in (0.5, 1.0, 2.0, 4.0, 8.0))
