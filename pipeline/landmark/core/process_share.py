"""Cores of this process, and its share of a run's: set by the executor, read by rate limiters."""

import os

_processes, _machines = 1, 1


def available_cores() -> int:
    """Number of cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def set_share(processes: int, machines: int = 1) -> None:
    """Set the number of worker processes of the run, this one included, and of the machines they run on."""
    global _processes, _machines
    _processes, _machines = max(1, processes), max(1, machines)


def get_share() -> tuple[int, int]:
    """Number of worker processes of the run and of the machines they run on."""
    return _processes, _machines
