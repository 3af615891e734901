"""Schedules of faults, drawn from seeds or enumerated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.faults.server import KINDS, Fault

# Patterns of paths on the server.
IMAGES = r"/sentinel-.*\.tif"
PLACES = {
    "bands": r"/sentinel-2.*/B0[34]\.tif",
    "radar": r"/sentinel-1.*/vv\.tif",
    "image": r"/sentinel-2-l2a/S2A_.*\.tif",
    "all": IMAGES,
}
PLANNING = {
    "catalogue": "/catalog.json",
    "collection": r"/sentinel-2-l2a/collection\.json",
    "item": r"/sentinel-.*_rtc\.json",
    "labels": r"/esa-worldcover/.*\.tif",
    "label item": r"/esa-worldcover/.*/.*\.json",
    "headers": r"/sentinel-.*\.tif",
    "masks": r"/sentinel-2.*SCL\.tif",
}

# Kinds after which a reader asks again.
TRANSIENT = ("busy", "failing", "hang", "stall", "cut", "short", "garbled", "shifted", "unlabelled", "full")
# Kinds that cost nothing, however often.
HARMLESS = ("redirect",)
# Ledger reasons that fit each kind; others' is a read error.
REASONS = {"forbidden": {"forbidden"}, "replaced": {"changed"}, "redirect": {"read_error"}}


@dataclass(frozen=True)
class Schedule:
    """Faults of one build.

    Attributes:
        name: Its seed, or its place in the enumeration.
    """

    name: str
    faults: tuple[Fault, ...]

    @property
    def reasons(self) -> set[str]:
        """Ledger reasons that fit its faults."""
        return {reason for fault in self.faults for reason in REASONS.get(fault.kind, {"read_error"})}

    @property
    def costs_nothing(self) -> bool:
        """Whether the reader's repeated requests make up for all faults."""
        return (
            all(fault.kind in HARMLESS or (fault.kind in TRANSIENT and fault.first == 1) for fault in self.faults)
            and len(self.faults) == 1
        )


def durations(rng: random.Random) -> dict[str, dict[str, float]]:
    """How long a fault lasts, by name."""
    return {"once": {"first": 1}, "few": {"first": rng.randint(2, 4)}, "often": {"chance": 0.3}, "always": {}}


def enumerate_schedules() -> Iterator[Schedule]:
    """Each kind for each duration and in each place; durations and places meet as well."""
    places = list(PLACES.items())
    for number, kind in enumerate(KINDS):
        rng = random.Random(number)
        for step, (duration, limits) in enumerate(durations(rng).items()):
            place, paths = places[(number + step) % len(places)]
            part = "any" if duration == "often" else ("any", "blocks", "header")[(number // 4 + step) % 3]
            after = step if kind == "replaced" else 0
            fault = Fault(kind, paths, part=part, seed=number, after=after, **limits)  # type: ignore[arg-type]
            yield Schedule(f"{kind} {duration} {place}", (_dressed(fault, rng),))


def enumerate_planning_schedules() -> Iterator[Schedule]:
    """Each kind once and always, each time of other files: documents, label maps, and images."""
    places, kinds = list(PLANNING.items()), [kind for kind in KINDS if kind != "replaced"]
    for number, kind in enumerate(kinds):
        for step, limits in enumerate(({"first": 1}, {})):
            place, paths = places[(number + step * len(kinds) // 2) % len(places)]
            fault = Fault(kind, paths, seed=number, **limits)  # type: ignore[arg-type]
            name = f"{kind} {'once' if limits else 'always'} {place}"
            yield Schedule(name, (_dressed(fault, random.Random(number)),))


def draw(seed: int, images: list[str]) -> Schedule:
    """One to three random faults."""
    rng = random.Random(f"schedule {seed}")
    faults = []
    for number in range(rng.choice([1, 1, 2, 3])):
        kind = rng.choice(list(KINDS))
        band = rng.choice(images)
        paths = rng.choice([band, band, band.rsplit("/", 1)[0], "/" + band.split("/")[1], IMAGES])
        limits = rng.choice([{"first": rng.randint(1, 7)}, {"chance": rng.choice([0.05, 0.2, 0.5, 0.9])}, {}])
        fault = Fault(kind, paths, after=rng.choice([0, 0, rng.randint(1, 12)]), seed=1000 * seed + number, **limits)
        faults.append(_dressed(replace(fault, part=rng.choice(["any", "any", "header", "blocks"])), rng))
    return Schedule(f"seed {seed}", tuple(faults))


def _dressed(fault: Fault, rng: random.Random) -> Fault:
    """With status and pause; a file that has been replaced stays so."""
    if fault.kind == "replaced":
        fault = replace(fault, first=None, chance=1.0, part="any")
    wait_s = 1 if fault.kind == "busy" and fault.first in (1, 2) else 0
    return replace(fault, status=rng.choice([500, 502, 503, 504]), wait_s=wait_s)
