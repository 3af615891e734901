"""The order of the loader, written as its documentation describes it: lists, one row at a time, no NumPy."""

from collections.abc import Iterator, Sequence

from landmark.core import salts
from landmark.core.hashing import rank

BITS = 2**64 - 1


def splitmix64(key: int, position: int) -> int:
    z = (key + (position + 1) * 0x9E3779B97F4A7C15) & BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
    return z ^ (z >> 31)


def shuffled(key: int, positions: Sequence[int]) -> list[int]:
    """Indices of some positions by the upper bits of their hashes."""
    bits = len(positions).bit_length()
    return sorted(range(len(positions)), key=lambda index: (splitmix64(key, positions[index]) >> bits, index))


def runs(groups: Sequence[Sequence[int]], names: tuple[str, ...], seed: int, streams: int) -> list[list[list[int]]]:
    """Rows of the permuted groups, cut into runs: run → group or part of it → (position, row)."""
    key = rank(seed, salts.LOADER_GROUPS, *names)
    order = shuffled(key, range(len(groups)))
    sequence = [(number, row) for number, group in enumerate(order) for row in groups[group]]
    shorter, remainder = divmod(len(sequence), streams)
    pieces, position = [], 0
    for run in range(streams):
        fragments: dict[int, list] = {}
        for _ in range(shorter + (run < remainder)):
            number, row = sequence[position]
            fragments.setdefault(number, []).append((position, row))
            position += 1
        pieces.append(list(fragments.values()))
    return pieces


def windows(run: list[list], stream: int, streams: int, window: int) -> Iterator[list]:
    """Windows of a run, the first one shorter."""
    size, fragments = max(window * (stream + 1) // streams, 1), list(run)
    while fragments:
        yield [entry for fragment in fragments[:size] for entry in fragment]
        del fragments[:size]
        size = window


def pass_over(
    groups: Sequence[Sequence[int]], names: tuple[str, ...], *, seed: int, streams: int, window: int
) -> list[tuple[int, int]]:
    """A pass over some rows: (stream, row), in order."""
    key = rank(seed, salts.LOADER_ROWS, *names)
    queues = [
        [
            rows[index][1]
            for rows in windows(run, stream, streams, window)
            for index in shuffled(key, [position for position, _ in rows])
        ]
        for stream, run in enumerate(runs(groups, names, seed, streams))
    ]
    total = sum(map(len, queues))
    return [(position % streams, queues[position % streams][position // streams]) for position in range(total)]


def keeps_shares(pools: Sequence[int], units: Sequence[int]) -> bool:
    """Whether all beginnings of a sequence of pools have less than one row more or fewer of a pool than its share."""
    totals, scale = [0] * len(units), sum(units)
    for rows, pool in enumerate(pools, start=1):
        totals[pool] += 1
        if any(abs(total * scale - rows * share) >= scale for total, share in zip(totals, units, strict=True)):
            return False
    return True
