"""How long to be patient with a server: the same for searches and for tokens."""

from urllib3 import Retry

TIMEOUT_S = 60
# A busy server says when to come back, and is obeyed; one that cannot be reached is given up within seconds.
PATIENCE = Retry(
    total=6,
    connect=2,
    read=2,
    backoff_factor=0.5,
    backoff_max=30,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,  # a search is a POST that changes nothing
    retry_after_max=120,
)
