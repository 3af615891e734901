"""Training on several ranks, each a process with a part of every batch, started by torchrun."""

import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup
from torch.distributed.rendezvous import rendezvous

from landmark.core.errors import InputError, RankLost
from landmark.train.profile import Budget

# The loader has 8 streams, which ranks share equally.
_RANKS = (1, 2, 4, 8)
# For the statistics of a large corpus and for validation, which the main rank computes alone.
_TIMEOUT = dt.timedelta(days=1)
# Errors of collectives without a class of their own.
_LOST = re.compile("gloo|NCCL|by peer")


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a training.

    Attributes:
        rank: Number of this one.
        ranks: How many there are.
        group: For collectives; None for one rank.
    """

    rank: int = 0
    ranks: int = 1
    group: ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """True for the rank that writes files and shows progress."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """The main rank's value, on all ranks; any picklable object."""
        if self.group is None:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, group=self.group)
        return values[0]


def is_main() -> bool:
    """Whether this process is the main rank, or the only one, as torchrun's environment variables say."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Join the ranks that torchrun started, as its environment variables say; one rank without them.

    An error is raised on the first rank that has one; the others exit with 1 and print nothing.

    Raises:
        RankLost: another rank ended without an error of its own, as out of memory.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, ranks = next(rendezvous("env://"))
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=_TIMEOUT)
    try:
        yield World(rank, ranks, distributed.group.WORLD)
    except Exception as error:
        if store.add("errors", 1) > 1:
            raise SystemExit(1) from error
        if isinstance(error, RuntimeError) and _LOST.search(str(error)):
            raise RankLost("another rank ended", remedy="run the same command again to resume") from error
        raise
    distributed.destroy_process_group()


def check_ranks(ranks: int, budget: Budget) -> None:
    """Check that a number of ranks can share the batches of a training.

    Raises:
        InputError: they cannot.
    """
    if ranks not in _RANKS:
        problem = "this number of ranks cannot share a batch equally"
        raise InputError(problem, file="--nproc-per-node", value=ranks, remedy="start 1, 2, 4 or 8 ranks")
    if ranks > 1 and budget.last_batch == "keep":
        problem = "several ranks cannot share an incomplete last batch"
        raise InputError(problem, key="budget.last_batch", value="keep", remedy="set it to `drop`, or start one rank")


def gather_rows(tensors: Sequence[Tensor], group: ProcessGroup) -> list[Tensor]:
    """Each tensor (n, …) with the rows of all ranks (ranks * n, …), rank after rank; one all-gather of bytes.

    A tensor has the same shape and type on all ranks.
    """
    flat = [tensor.contiguous().view(torch.uint8).flatten() for tensor in tensors]
    packed = torch.cat(flat)
    copies = [torch.empty_like(packed) for _ in range(group.size())]
    distributed.all_gather(copies, packed, group=group)
    columns = torch.split(torch.stack(copies), [len(part) for part in flat], dim=1)
    return [
        column.contiguous().flatten().view(tensor.dtype).view(-1, *tensor.shape[1:])
        for column, tensor in zip(columns, tensors, strict=True)
    ]
