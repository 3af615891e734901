"""A process's share of the machine's cores and of each host's request budget."""

from functools import cache

from landmark.config.profiles import RequestBudget
from landmark.core.process_share import available_cores, get_share
from landmark.core.ranges.rate_limit import RateLimiter

_UNLIMITED = RequestBudget(in_flight=2**30)


def core_share() -> int:
    """Return the process's share of the cores, at least 1."""
    processes, machines = get_share()
    return max(1, available_cores() * machines // processes)


def get_rate_limiter(host: str, budget: RequestBudget) -> RateLimiter:
    """Return this process's rate limiter of a host; an empty host (local files) is not limited."""
    return _rate_limiter(host, budget.share(get_share()[0]) if host else _UNLIMITED)


@cache
def _rate_limiter(host: str, budget: RequestBudget) -> RateLimiter:
    return RateLimiter(budget)
