"""Exception hierarchy. Every error states its problem and remedy; `exit_code` is the command line's status."""

import os
from collections.abc import Iterable
from typing import Any, Self

from landmark.core.printable import printable

_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))
_MAX_CHARS = 1_000  # of a value that is printed


class LandmarkError(Exception):
    """Base of all expected errors. Picklable, so that it crosses process borders with its fields.

    Printed as `file: key: value: problem; remedy`, omitting fields that are not set.

    Attributes:
        problem: What is wrong.
        file: The file, folder, URL or command-line option that is at fault.
        key: The key in that file, as a dotted path (`sampling.seed`).
        value: The value; objects other than plain JSON-like values are converted to text.
        remedy: What to do.
        problems: All errors found together, this one first.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: str | os.PathLike[str] | None = None,
        key: str | None = None,
        value: Any = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.file = None if file is None else os.fspath(file)
        self.key = key
        self.value = value if isinstance(value, _PLAIN) else str(value)
        self.remedy = remedy
        self.problems: tuple[LandmarkError, ...] = (self,)

    @classmethod
    def combined(cls, errors: Iterable[Self]) -> Self:
        """The first of some errors, carrying and printing all of them."""
        first, *rest = errors
        first.problems = (first, *rest)
        return first

    def __str__(self) -> str:
        return printable("\n".join(error._line() for error in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        # A cycle through `problems` would make pickle rebuild the error before its fields exist.
        state = {**self.__dict__, "problems": self.problems[1:]}
        return _rebuilt, (type(self), self.problem, state)

    def _line(self) -> str:
        place = [part for part in (self.file, self.key and f"`{self.key}`") if part]
        value = [] if self.value is None else [_shortened(repr(self.value))]
        return ": ".join([*place, *value, self.problem]) + (f"; {self.remedy}" if self.remedy else "")


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"


def _rebuilt(cls: type[LandmarkError], problem: str, state: dict[str, Any]) -> LandmarkError:
    error = cls(problem)
    error.__dict__.update({**state, "problems": (error, *state["problems"])})
    return error


def invalid(problem: str, *, key: str | None = None, value: Any = None, remedy: str | None = None) -> Exception:
    """An error to raise inside a pydantic validator; the file's parser turns it into an `InputError` with its fields.

    Args:
        problem: What is wrong.
        key: Key below the validated key; by default the validated key.
        value: The value at fault; by default the validated value.
        remedy: What to do.
    """
    from pydantic_core import PydanticCustomError  # takes longer to load than an error of the command line to print

    # Braces of a message are a template's: it is passed as one value.
    return PydanticCustomError(
        "invalid", "{problem}", {"problem": problem, "key": key, "value": value, "remedy": remedy}
    )


class InputError(LandmarkError):
    """A file, key or value that a person wrote is wrong."""


class UnknownName(InputError):
    """No recipe, taxonomy, provider or label source of this name."""


class EmptySearch(LandmarkError):
    """The catalogue holds nothing for this region, time and these sensors."""


class NoCoverage(LandmarkError):
    """Images or labels exist, but none of them covers a cell of the region."""


class RecipeMismatch(LandmarkError):
    """The output folder belongs to a corpus of another recipe."""


class InputsChanged(LandmarkError):
    """An input differs from what the lock recorded."""


class FolderLocked(LandmarkError):
    """Another build holds the output folder."""


class SchedulerUnreachable(LandmarkError):
    """No Dask scheduler answers at the address."""


class SchedulerLost(LandmarkError):
    """The connection to the Dask scheduler was lost during a run."""

    exit_code = 1


class ClusterFailed(LandmarkError):
    """The worker processes of this machine did not start."""

    exit_code = 1


class WorkersLost(LandmarkError):
    """No worker has answered for as long as the run waits for one."""

    exit_code = 1


class WorkerDiffers(LandmarkError):
    """A worker runs another landmark, or other libraries, than the process that gives it tasks."""


class LateWorkerDiffers(WorkerDiffers):
    """The same of a worker that joined after the first task; it has run none."""

    exit_code = 1


class InvalidCorpus(LandmarkError):
    """The folder is not a sealed corpus, a file of it is damaged, or a path of it leads outside."""


class GenerationReplaced(LandmarkError):
    """The files of an open corpus were replaced by a newer generation."""


class StateMismatch(LandmarkError):
    """The state of a loader is of another corpus, selection, mixture or order; `key` is the part that differs."""


class ConsentRequired(LandmarkError):
    """The build is larger than what starts without confirmation."""


class DiskTooSmall(LandmarkError):
    """The output's disk cannot hold what the build writes."""


class AccessRefused(LandmarkError):
    """A service does not accept the person's key."""


class OrderFailed(LandmarkError):
    """A service did not deliver what was ordered; ordering again may help."""

    exit_code = 1


class DownloadPending(LandmarkError):
    """The order is not ready yet; the same command resumes it."""

    exit_code = 1


class InsufficientData(LandmarkError):
    """The corpus has too few samples or labels to train or evaluate on."""


class InvalidRun(LandmarkError):
    """The folder holds no training run that can be resumed or used."""


class RunMismatch(LandmarkError):
    """The run folder belongs to another training."""


class Diverged(LandmarkError):
    """The loss is NaN or infinite; the last checkpoint is kept."""

    exit_code = 1


class RankLost(LandmarkError):
    """Another process of a training on several ranks ended; the last checkpoint is kept."""

    exit_code = 1


class ExportFailed(LandmarkError):
    """The corpus is sealed, but a requested export could not be completed."""

    exit_code = 1


class CoverageLost(LandmarkError):
    """The corpus is sealed, but a planned sensor or split has no sample."""

    exit_code = 1


class SealingFailed(LandmarkError):
    """The build started, but the corpus could not be sealed."""

    exit_code = 1
