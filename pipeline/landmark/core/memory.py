"""Return freed memory to the system, which the allocators keep otherwise."""

import ctypes

import pyarrow as pa


def release_memory() -> None:
    """Return the memory that NumPy, Python and Arrow have freed; without glibc, Arrow's alone."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
