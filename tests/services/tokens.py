"""A token service with the interface of the Planetary Computer's, for the blob store of the tests."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.services.client import token
from tests.services.served import served

HOUR = 3600.0


@dataclass
class Tokens:
    """State of the token service.

    Attributes:
        seconds: Lifetime of the next token by the number of tokens issued before.
        claimed_s: Lifetime that the response states; clients rely on it.
        requests: account/container of every request.
        status: HTTP status of the response.
    """

    seconds: Callable[[int], float]
    claimed_s: float = HOUR
    requests: list[str] = field(default_factory=list)
    status: int = 200
    url: str = ""

    def answer(self, place: str) -> bytes:
        """Return the body of a response."""
        self.requests.append(place)
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.claimed_s)
        account, container = place.split("/")
        sas = token(account, container, self.seconds(len(self.requests) - 1))
        return json.dumps({"msft:expiry": f"{end:%Y-%m-%dT%H:%M:%SZ}", "token": sas}).encode()


@contextmanager
def token_service(
    seconds: Callable[[int], float] = lambda _: HOUR, *, claimed_s: float = HOUR, status: int = 200
) -> Iterator[Tokens]:
    """Run a token service; its `url` is the value of PC_SDK_SAS_URL."""
    tokens = Tokens(seconds, claimed_s, status=status)
    with served(lambda _, path, __: (tokens.status, {}, tokens.answer(path.removeprefix("/token/")))) as url:
        tokens.url = f"{url}/token"
        yield tokens
