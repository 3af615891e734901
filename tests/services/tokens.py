"""A token service like the Planetary Computer's, for the accounts of the tests' blob store."""

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
    """What the service hands out.

    Attributes:
        seconds: How long the next token is good for, given how many were handed out before.
        claimed_s: How long the service says it is good for; clients rely on it.
        asked: account/container of every request.
        status: What the service answers; 200 hands out a token.
    """

    seconds: Callable[[int], float]
    claimed_s: float = HOUR
    requests: list[str] = field(default_factory=list)
    status: int = 200
    url: str = ""

    def answer(self, place: str) -> bytes:
        """The body of an answer."""
        self.requests.append(place)
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.claimed_s)
        account, container = place.split("/")
        said = token(account, container, self.seconds(len(self.requests) - 1))
        return json.dumps({"msft:expiry": f"{end:%Y-%m-%dT%H:%M:%SZ}", "token": said}).encode()


@contextmanager
def token_service(seconds: Callable[[int], float] = lambda _: HOUR, **said: float) -> Iterator[Tokens]:
    """A running token service; its `url` is what PC_SDK_SAS_URL names."""
    tokens = Tokens(seconds, **said)
    with served(lambda _, path, __: (tokens.status, {}, tokens.answer(path.removeprefix("/token/")))) as url:
        tokens.url = f"{url}/token"
        yield tokens
