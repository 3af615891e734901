"""The buffers of OpenBLAS, for which it asks for ever where a limit of addresses (`ulimit -v`) is reached."""

import mmap
import resource

# numpy and scipy each have a library of their own, which reserves 64 MiB as it is loaded or called.
_NEEDED_BYTES = 256 << 20


def reserve_blas_buffers() -> None:
    """Have OpenBLAS reserve its buffers now if the addresses of this process are limited.

    Later it would hold the interpreter's lock as it asks, so that not even a signal ended the process.

    Raises:
        OSError, ImportError: not enough memory.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    _require(_NEEDED_BYTES)
    import numpy as np

    matrix = np.ones((256, 256))
    _require(_NEEDED_BYTES)
    matrix @ matrix
    from scipy.linalg.blas import dgemm

    dgemm(1.0, matrix, matrix)


def _require(size: int) -> None:
    mmap.mmap(-1, size).close()
