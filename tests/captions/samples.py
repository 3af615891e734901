"""Sample facts for tests: random consistent ones, and ones made by hand."""

import datetime as dt

from hypothesis import strategies as st

from landmark.captions.grammar import load_grammar
from landmark.captions.parse import build_lexicon
from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import NearestPlace, SampleFacts
from landmark.core.yaml_files import load_model
from landmark.domain.event import EventFact, EventTypes
from landmark.domain.taxonomy import Taxonomy

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
TYPES = load_model(EventTypes, "taxonomies", "events/types").types
STYLES = ("structured", "sentence", "detailed")
LANGS = ("en", "fr", "es")
GRAMMAR = load_grammar(STYLES, LANGS, taxonomy=TAXONOMY, types=TYPES)
ENGLISH = load_grammar(STYLES, taxonomy=TAXONOMY)
LEXICONS = {lang: build_lexicon(language, TAXONOMY, lang) for lang, language in GRAMMAR.languages.items()}
LAND = [key for key, entry in TAXONOMY.classes.items() if not entry.event]
PLACES = ("Riverton", "Avignon", "Water Hill", "Le Havre", "Les Ulis", "Bare-sur-Mer", "Fire Creek", "Water", "Trees")


def facts_of(labels=("trees",), *, id="x", sensor="s2", month=7, lat=45.0, **facts):
    return SampleFacts(id, sensor, dt.datetime(2021, month, 15, tzinfo=dt.UTC), lat, tuple(labels), **facts)


def captions_by_style(sample, styles=("structured", "sentence"), seed=0, grammar=ENGLISH, each=1):
    rows = render_captions(sample, grammar, TAXONOMY, CaptionConfig(tuple(styles), seed, each))
    return {row["style"]: row for row in rows}


def all_captions(sample, seed=0, each=1, grammar=GRAMMAR):
    return render_captions(sample, grammar, TAXONOMY, CaptionConfig(STYLES, seed, each))


def place_names(sample):
    return list(sample.place.names.values()) if sample.place else []


@st.composite
def fractions(draw):
    """Fractions of some classes that sum to one, largest first."""
    keys = draw(st.lists(st.sampled_from(LAND), unique=True))
    weights = [draw(st.integers(1, 100)) for _ in keys]
    shares = ((key, weight / sum(weights)) for key, weight in zip(keys, weights, strict=True))
    return dict(sorted(shares, key=lambda share: -share[1]))


@st.composite
def event_facts(draw, number):
    """An event in any phase; with a class only if phase and fraction allow it."""
    event_type = draw(st.sampled_from(sorted(TYPES)))
    phase = draw(st.sampled_from(["before", "during", "after", "unrelated"]))
    fraction = draw(st.sampled_from([0.0, 0.02, 0.3, 0.97]))
    is_earthquake = event_type == "earthquake"
    has_class = phase in TYPES[event_type].mentionable_phases and fraction >= 0.05
    return EventFact(
        id=f"event-{number}",
        type=event_type,
        phase=phase,
        fraction=fraction,
        in_aoi=draw(st.booleans()),
        product="a product",
        days=draw(st.floats(0, 500)) * (-1 if phase == "before" else 1),
        label=TYPES[event_type].to if has_class else None,
        distance_km=draw(st.none() | st.floats(0, 60)) if is_earthquake else None,
        magnitude=draw(st.none() | st.floats(4, 9)) if is_earthquake else None,
    )


@st.composite
def sample_facts(draw):
    shares = draw(fractions())
    events = [draw(event_facts(number)) for number in range(draw(st.integers(0, 3)))]
    events.sort(key=lambda fact: (-fact.fraction, fact.id))
    land = [key for key, share in shares.items() if share >= 0.05]
    subclasses = {
        "crops": ("corine/vineyards", draw(st.sampled_from([0.5, 0.6, 1.0]))),
        "trees": ("corine/mixed_forest", 0.9),
    }
    name = draw(st.sampled_from(PLACES))
    place = NearestPlace({"": name, "fr": f"{name} (fr)"}, draw(st.floats(0, 30)), draw(st.floats(0, 360)))
    is_flooded = any(fact.label == "flooded_area" for fact in events)
    return SampleFacts(
        id=draw(st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=30)),
        sensor=draw(st.sampled_from(["s1", "s2"])),
        time=draw(st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))),
        lat=draw(st.floats(-84, 84)),
        labels=tuple(dict.fromkeys([*land, *(fact.label for fact in events if fact.label)])),
        fractions=shares,
        subclasses={key: subclass for key, subclass in subclasses.items() if key in shares},
        events=tuple(events),
        place=draw(st.none() | st.just(place)),
        absent_classes=tuple(key for key in LAND if key not in shares) if draw(st.booleans()) else (),
        absent_event_classes=() if is_flooded else draw(st.sampled_from([(), ("flooded_area",)])),
    )
