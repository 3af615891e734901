"""What can be wrong, by name. The message is the remedy; the exit code is the class's."""


class LandmarkError(Exception):
    """Any refusal landmark words itself; `exit_code` is what the command line returns.

    All subclasses take one message, so they cross process borders by pickle.
    """

    exit_code = 2


class InputError(LandmarkError):
    """A file, key or value that a person wrote is wrong."""


class UnknownName(InputError):
    """A recipe, taxonomy, provider or label source nobody has written."""


class EmptySearch(LandmarkError):
    """The catalogue holds nothing for this region, time and these sensors."""


class NoCoverage(LandmarkError):
    """Images or labels exist, but none of them covers a cell of the region."""


class OtherRecipe(LandmarkError):
    """The output folder belongs to a corpus of another recipe."""


class InputsChanged(LandmarkError):
    """An input differs from what the lock recorded."""


class Busy(LandmarkError):
    """Another build holds the output folder."""


class SchedulerUnreachable(LandmarkError):
    """No Dask scheduler answers at the address."""


class SchedulerLost(LandmarkError):
    """The Dask scheduler went away in mid-run."""

    exit_code = 1


class NotACorpus(LandmarkError):
    """The folder is not a sealed corpus."""


class NeedsConsent(LandmarkError):
    """The build is larger than what landmark starts unasked."""


class DiskTooSmall(LandmarkError):
    """The output's disk cannot hold what the build writes."""


class AccessRefused(LandmarkError):
    """A service does not accept the person's key."""


class OrderFailed(LandmarkError):
    """A service did not deliver what was ordered; ordering anew may help."""

    exit_code = 1


class DownloadUnfinished(LandmarkError):
    """What was ordered is not here yet; the same command goes on."""

    exit_code = 1


class Interrupted(BaseException):
    """A person stopped the work; no `except Exception` of a library may take it for its own."""

    exit_code = 130


class Untrainable(LandmarkError):
    """The corpus has too little, or nothing, to learn from or to be judged by."""


class NotARun(LandmarkError):
    """The folder holds no training that can be taken up or used."""


class OtherRun(LandmarkError):
    """The run folder belongs to another training."""


class Diverged(LandmarkError):
    """The loss is no number any more; the last checkpoint stands."""

    exit_code = 1


class Unprojected(LandmarkError):
    """The corpus is sealed, but a format that was asked for could not be added whole."""

    exit_code = 1


class Unsealed(LandmarkError):
    """The build started, but the corpus could not be sealed."""

    exit_code = 1
