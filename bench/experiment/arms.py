"""What the experiment varies: models that differ from CLOSP in one thing each, and the questions that they answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from landmark.core.yaml_files import parse_model
from landmark.corpus.reader import Corpus
from landmark.train.profile import ModelProfile

Coordinates = Literal["true", "by cell", "by image"]
REFERENCE = "closp"
# Arms `single-s1` and `single-s2` are trained on one sensor; their scores together are those of `single`.
SINGLE = "single"
_SENTENCES = "sentence"


@dataclass(frozen=True, slots=True)
class Arm:
    """A model of the experiment.

    Attributes:
        title: For people.
        profile: The model.
        sensors: Sensors that it is trained on.
        coordinates: `true`; exchanged between cells, so that images of a cell still share a place; or between images.
    """

    title: str
    profile: ModelProfile
    sensors: tuple[str, ...]
    coordinates: Coordinates = "true"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms that differ in what a question is about; `gain` is the mAP of the first minus that of the second."""

    question: str
    first: str
    second: str


# Decided before any of the trainings.
QUESTIONS: Mapping[str, str] = {
    "sensors": "Does text carry what one sensor knows to the other?",
    "targets": "Do soft targets help?",
    "scale": "Is a learned temperature better than one fixed at 1?",
    "captions": "Are structured captions better than sentences?",
    "places": "Does GeoCLOSP gain from places?",
}
COMPARISONS = (
    Comparison("sensors", REFERENCE, SINGLE),
    Comparison("targets", REFERENCE, "identity"),
    Comparison("scale", REFERENCE, "fixed-scale"),
    Comparison("captions", REFERENCE, "sentences"),
    Comparison("places", "geoclosp", REFERENCE),
    # Images of a cell are positives of each other with either; only true coordinates say which cells are neighbours.
    # Where most cells have one image, the difference is memory of places as well.
    Comparison("places", "geoclosp", "shuffled-cells"),
    # What is left when images of a cell share no place either is a second task that cannot be learned.
    Comparison("places", "shuffled-cells", "shuffled-images"),
    Comparison("places", "shuffled-images", REFERENCE),
)


def list_arms(corpus: Corpus, closp: ModelProfile, geoclosp: ModelProfile, steps: int) -> dict[str, Arm]:
    """Arms by name; those that a corpus has no captions or sensors for are left out.

    Args:
        corpus: To train on.
        closp: The reference.
        geoclosp: Its location tower and location loss are used.
        steps: Steps of the optimizer, each with a batch of every sensor trained on.
    """
    sensors, styles = tuple(corpus.manifest.sensors), _styles(corpus, closp.lang)
    reference = _changed(closp, budget={"steps": steps})

    def arm(title: str, coordinates: Coordinates = "true", **changes: Any) -> Arm:
        return Arm(title, _changed(reference, **changes), sensors, coordinates)

    location = {
        "location": geoclosp.model_dump(mode="json")["location"],
        "objective": {name: getattr(geoclosp.objective, name) for name in ("location_weight", "location_km")},
    }
    # Subsets of classes have no sentences.
    has_sentences = _SENTENCES in styles and closp.objective.targets != "subset"
    arms = {
        REFERENCE: arm("CLOSP"),
        "identity": arm("identity targets", objective={"targets": "identity"}),
        "fixed-scale": arm("temperature fixed at 1", objective={"scale": 1.0, "learn_scale": False}),
        **({"sentences": arm("sentences as captions", style=_SENTENCES)} if has_sentences else {}),
        "geoclosp": arm("GeoCLOSP", **location),
        "shuffled-cells": arm("GeoCLOSP, coordinates exchanged between cells", "by cell", **location),
        "shuffled-images": arm("GeoCLOSP, coordinates exchanged between images", "by image", **location),
    }
    if len(sensors) > 1:
        arms |= {f"{SINGLE}-{sensor}": Arm(f"{sensor} alone", reference, (sensor,)) for sensor in sensors}
    return arms


def _changed(profile: ModelProfile, **changes: Any) -> ModelProfile:
    document = profile.model_dump(mode="json")
    for key, value in changes.items():
        document[key] = document[key] | value if isinstance(document[key], dict) else value
    return parse_model(ModelProfile, document, profile.title)


def _styles(corpus: Corpus, lang: str) -> set[str]:
    """Styles in which every sample has a caption."""
    captions = (part.to_pylist() for part in corpus.list_batches("captions", "style", "lang"))
    rows = [{own["style"] for own in row if own["lang"] == lang} for part in captions for row in part]
    return set.intersection(*rows) if rows else set()
