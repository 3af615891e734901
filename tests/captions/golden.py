"""Write captions.txt, a file of captions for human review: `python -m tests.captions.golden`."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import NearestPlace, SampleFacts
from landmark.domain.event import EventFact
from tests.captions.samples import GRAMMAR, STYLES, TAXONOMY

FILE = Path(__file__).parent / "captions.txt"
FRACTIONS = {"trees": 0.62, "crops": 0.24, "water": 0.08, "grass": 0.06}
CASES = {
    "land cover alone, near a place": {"place": NearestPlace({"": "Riverton", "fr": "Riveville"}, 3.2, 0)},
    "a finer class, far from a place": {
        "labels": ("crops", "trees"),
        "fractions": {"crops": 0.8, "trees": 0.2},
        "subclasses": {"crops": ("corine/vineyards", 0.7)},
        "place": NearestPlace({"": "Avignon"}, 12.4, 300),
    },
    "six days after a fire": {
        "labels": ("trees", "burned_area"),
        "events": (EventFact("fire-1", "fire", "after", 0.33, True, "p", 6.4, label="burned_area"),),
    },
    "before that fire": {
        "labels": ("trees",),
        "events": (EventFact("fire-1", "fire", "before", 0.33, True, "p", -6.4),),
    },
    "during a flood, in the tropics": {
        "labels": ("crops", "flooded_area"),
        "lat": 12.0,
        "sensor": "s1",
        "events": (EventFact("flood-1", "flood", "during", 0.55, True, "p", 2.1, label="flooded_area"),),
    },
    "a true negative of a flood": {
        "labels": ("crops",),
        "events": (EventFact("flood-1", "flood", "during", 0.0, True, "p", 2.1),),
    },
    "within the radius of an epicentre": {
        "labels": ("built", "trees"),
        "fractions": {"built": 0.96, "trees": 0.04},
        "events": (EventFact("q", "earthquake", "after", 0, False, "p", 9.3, distance_km=12.2, magnitude=6.1),),
    },
    "damage graded": {
        "labels": ("built", "earthquake_damage"),
        "fractions": {"built": 0.96},
        "events": (
            EventFact("q", "earthquake", "after", 0.06, True, "p", 70, "earthquake_damage", "destroyed", 3.4, 6.1),
        ),
    },
    "no label": {"labels": (), "fractions": {}},
}


def lines() -> Iterator[str]:
    """Per case a heading, then each caption with its style and language."""
    for number, (title, facts) in enumerate(CASES.items()):
        values = {"sensor": "s2", "lat": 45.0, "labels": tuple(FRACTIONS), "fractions": FRACTIONS, **facts}
        sample = SampleFacts(id=f"case-{number}", time=dt.datetime(2021, 8, 15, tzinfo=dt.UTC), **values)
        yield f"# {title}"
        for row in render_captions(sample, GRAMMAR, TAXONOMY, CaptionConfig(STYLES, seed=number)):
            yield f"{row['style']:<10} {row['lang']}  {row['text']}"


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n")
