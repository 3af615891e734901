"""Why a file, or a range of it, cannot be read. No message holds a URL, so that it can be written to a ledger."""


class Unreadable(Exception):
    """The file cannot be read."""

    reason = "read_error"


class Forbidden(Unreadable):
    """The server refuses access to the file, or no token for it is available."""

    reason = "forbidden"


class NoRangeSupport(Exception):
    """Byte ranges are not available; the message gives the reason."""

    def __init__(self, reason: str = "the server does not support ranges") -> None:
        super().__init__(reason)


class TransientError(Unreadable):
    """The server is busy or its answer is wrong: the request is repeated.

    Attributes:
        busy: Whether all requests to the server have to pause.
        retry_after_s: The server's own back-off, None where it names none.
    """

    def __init__(self, problem: str, *, busy: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.busy, self.retry_after_s = busy, retry_after_s


class ChangedFile(TransientError):
    """The answer belongs to another version of the file than the first answer."""

    reason = "changed"


class ServerTimeout(TransientError):
    """The server did not answer within the timeout.

    Attributes:
        seconds: How long the request took.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("the server does not answer")
        self.seconds = seconds
