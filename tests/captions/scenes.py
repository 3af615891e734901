"""Scenes for the tests of words: any that facts allow, and one made by hand."""

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
LEXICONS = {lang: build_lexicon(one, TAXONOMY, lang) for lang, one in GRAMMAR.languages.items()}
LAND = [key for key, one in TAXONOMY.classes.items() if not one.event]
PLACES = ("Riverton", "Avignon", "Water Hill", "Le Havre", "Les Ulis", "Bare-sur-Mer", "Fire Creek", "Water", "Trees")


def scene(labels=("trees",), *, id="x", sensor="s2", month=7, lat=45.0, **facts):
    return SampleFacts(id, sensor, dt.datetime(2021, month, 15, tzinfo=dt.UTC), lat, tuple(labels), **facts)


def told(where, styles=("structured", "sentence"), seed=0, grammar=ENGLISH, each=1):
    return {row["style"]: row for row in render_captions(where, grammar, TAXONOMY, CaptionConfig(tuple(styles), seed, each))}


def every(where, seed=0, each=1, grammar=GRAMMAR):
    return render_captions(where, grammar, TAXONOMY, CaptionConfig(STYLES, seed, each))


@st.composite
def fractions(draw):
    """Shares of some classes that sum to one, largest first."""
    keys = draw(st.lists(st.sampled_from(LAND), unique=True))
    weights = [draw(st.integers(1, 100)) for _ in keys]
    return dict(
        sorted(((key, one / sum(weights)) for key, one in zip(keys, weights, strict=True)), key=lambda it: -it[1])
    )


@st.composite
def events(draw, number):
    """What an image may say of an event, in any phase; its class only where phase and share allow it."""
    kind, phase = (
        draw(st.sampled_from(sorted(TYPES))),
        draw(st.sampled_from(["before", "during", "after", "unrelated"])),
    )
    fraction = draw(st.sampled_from([0.0, 0.02, 0.3, 0.97]))
    days = draw(st.floats(0, 500)) * (-1 if phase == "before" else 1)
    quake = kind == "earthquake"
    return EventFact(
        id=f"event-{number}",
        type=kind,
        phase=phase,
        fraction=fraction,
        in_aoi=draw(st.booleans()),
        product="a product",
        days=days,
        label=TYPES[kind].to if phase in TYPES[kind].mentionable_phases and fraction >= 0.05 else None,
        distance_km=draw(st.none() | st.floats(0, 60)) if quake else None,
        magnitude=draw(st.none() | st.floats(4, 9)) if quake else None,
    )


@st.composite
def scenes(draw):
    shares = draw(fractions())
    happened = [draw(events(number)) for number in range(draw(st.integers(0, 3)))]
    happened.sort(key=lambda fact: (-fact.fraction, fact.id))
    land = [key for key, share in shares.items() if share >= 0.05]
    finer = {
        "crops": ("corine/vineyards", draw(st.sampled_from([0.5, 0.6, 1.0]))),
        "trees": ("corine/mixed_forest", 0.9),
    }
    name = draw(st.sampled_from(PLACES))
    place = NearestPlace({"": name, "fr": f"{name} (fr)"}, draw(st.floats(0, 30)), draw(st.floats(0, 360)))
    absent = [key for key in LAND if key not in shares] if draw(st.booleans()) else []
    return SampleFacts(
        id=draw(st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=30)),
        sensor=draw(st.sampled_from(["s1", "s2"])),
        time=draw(st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))),
        lat=draw(st.floats(-84, 84)),
        labels=tuple(dict.fromkeys([*land, *(fact.label for fact in happened if fact.label)])),
        fractions=shares,
        subclasses={key: one for key, one in finer.items() if key in shares},
        events=tuple(happened),
        place=draw(st.none() | st.just(place)),
        absent_classes=tuple(absent),
        absent_event_classes=tuple(draw(st.sampled_from([(), ("flooded_area",)])))
        if not any(fact.label == "flooded_area" for fact in happened)
        else (),
    )


def names(where):
    return list(where.place.names.values()) if where.place else []
