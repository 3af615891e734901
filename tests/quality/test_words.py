"""Row checks, and measures of captions over the whole corpus, on rows made by hand."""

import datetime as dt
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.grammar import load_grammar
from landmark.captions.negatives import render_hard_negatives
from landmark.captions.parse import build_lexicon
from landmark.captions.questions import render_questions
from landmark.captions.render import CaptionConfig
from landmark.config.recipe import Thresholds
from landmark.core.yaml_files import load_model
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Taxonomy
from landmark.lint.check import TRAIT_CHECKS
from landmark.quality.check import CHECKS as CORPUS_CHECKS
from landmark.quality.check_input import CheckInput, CorpusContext
from landmark.quality.checks.bias import explained_pct
from landmark.quality.checks.words import entropy_bits
from landmark.quality.findings import NotApplicable
from landmark.quality.rows.row_checks import ROW_CHECKS
from tests.captions.samples import GRAMMAR, LEXICONS, STYLES, all_captions, facts_of, sample_facts
from tests.parts import examples
from tests.quality.measured_corpus import PROFILE, sample_table

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
CONTEXT = CorpusContext(
    root=None,
    manifest=SimpleNamespace(taxonomy=TAXONOMY),
    recipe=SimpleNamespace(thresholds=Thresholds(classes={"built": 2}), captions=["structured"]),
    max_gap_days={"corine": 2200},
    limits={},
)
land_classes = st.lists(
    st.sampled_from([key for key, entry in TAXONOMY.classes.items() if not entry.event]), unique=True, min_size=1
)


def row_of(classes=("water", "trees"), **changes):
    """A consistent row with these classes in equal shares, with some columns changed."""
    names = [TAXONOMY.classes[key].name["en"].lower() for key in classes]
    evidence, start = [], 0
    for key, name in zip(classes, names, strict=True):
        evidence.append({"start": start, "end": start + len(name), "fact": f"label:{key}"})
        start += len(name) + len(". ")
    shares = {key: 1 / len(classes) for key in classes}
    row = {
        "id": "s2_32n_1_2_20210601t100000_r001",
        "sensor": "s2",
        "datetime": dt.datetime(2021, 6, 1, 10, tzinfo=dt.UTC),
        "labels": list(classes),
        "fractions": shares,
        "subclasses": {f"corine/{key}": share for key, share in shares.items()},
        "agreement": {},
        "sources": [{"name": "corine", "version": "1", "year": 2018, "gap_days": 882, "agreement": None}],
        "events": [],
        "captions": caption(". ".join(names), style="structured", template="structured@1", evidence=evidence),
    }
    return row | changes


def caption(text, **changes):
    """The column of captions, with a single one."""
    return [{"style": "sentence", "lang": "en", "text": text, "template": "x", "evidence": [], **changes}]


def problems(check, row, context=CONTEXT):
    return list(ROW_CHECKS[check](row, context, PROFILE.checks[check].limits))


CHECKS = ("captions", "texts", "fractions", "vocabulary", "label-gap", "event-words")


@given(land_classes)
@examples(30)
def test_consistent_rows_pass(labels):
    assert {name: problems(name, row_of(labels)) for name in CHECKS} == {name: [] for name in CHECKS}


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("captions", {"captions": []}),
        ("captions", {"labels": ["trees", "water"]}),
        ("captions", {"labels": ["water"]}),
        ("captions", {"labels": ["water", "trees", "grass"]}),
        ("captions", {"captions": caption(" ")}),
        ("captions", {"captions": caption("A {sensor} of water and trees.")}),
        ("captions", {"captions": caption("trees, water")}),
        ("captions", {"captions": caption("trees", evidence=[{"start": 0, "end": 5, "fact": "label:water"}])}),
        ("captions", {"captions": caption("trees, water", evidence=[{"start": 7, "end": 40, "fact": "label:water"}])}),
        ("fractions", {"fractions": {"water": 0.6, "trees": 0.3}}),
        ("fractions", {"subclasses": {"corine/sea": 1.2}}),
        ("fractions", {"fractions": {"water": 0.97, "trees": 0.03}}),
        ("fractions", {"fractions": {"water": 0.6, "trees": 0.37, "built": 0.03}}),
        ("fractions", {"fractions": {"water": 0.4, "trees": 0.6}}),
        ("vocabulary", {"labels": ["swamp"]}),
        ("vocabulary", {"subclasses": {"urban-atlas/park": 1.0}}),
        ("texts", {"captions": caption("forÃªt")}),
        ("texts", {"captions": caption("for\N{REPLACEMENT CHARACTER}t")}),
        ("event-words", {"labels": ["burned_area"]}),
        ("event-words", {"captions": caption("Burned area and trees.")}),
        ("event-words", {"labels": ["flooded_area"], "events": [{"phase": "before", "id": "E", "product": ""}]}),
    ],
)
def test_inconsistent_rows_are_reported(check, changes):
    assert problems(check, row_of(**changes))


@pytest.mark.parametrize(("gap_days", "year", "passes"), [(2199, 2015, True), (2400, 2014, False), (10, 2018, False)])
def test_the_age_of_a_label_map_is_limited_by_the_source(gap_days, year, passes):
    source = {"name": "corine", "version": "1", "year": year, "gap_days": gap_days, "agreement": None}
    assert (problems("label-gap", row_of(sources=[source])) == []) == passes


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("https://a.blob.core.windows.net/c/B02.tif?sv=2024&sig=abc%3D", False),
        ("https://b.s3.amazonaws.com/x.tif?X-Amz-Signature=0f", False),
        ("/home/ada/data/B02.tif", False),
        ("file:///data/B02.tif", False),
        ("C:\\\\Users\\\\ada\\\\B02.tif", False),
        ("S2A_MSIL2A_20210601", True),
    ],
)
def test_signed_urls_and_local_paths_are_reported_without_the_token(text, passes):
    plain = {"product": "S2MSI2A", "platform": None, "baseline": None, "offset_rule": None, "licences": []}
    details = [detail for _, detail in problems("secrets", row_of(items=[text], **plain))]
    assert len(details) == (0 if passes else 1) and not any("abc" in detail for detail in details)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("flooded vegetation", {"flooded_vegetation"}),
        ("Built-up land, grassland and waterways", {"built", "grass"}),
        ("shrub and scrub. snow and ice", {"shrub_and_scrub", "snow_and_ice"}),
        ("A Sentinel-2 optical image.", set()),
    ],
)
def test_the_longest_words_of_a_text_name_the_classes(text, keys):
    assert build_lexicon(None, TAXONOMY, "en").find_labels(text) == keys


def test_event_words_are_searched_in_the_languages_of_the_corpus_alone():
    english = load_grammar(("structured",), taxonomy=TAXONOMY, types=()).languages["en"]
    words = {key: {"name": f"{key} (pt)", "phrase": f"{key} (pt)"} for key in TAXONOMY.classes}
    words["burned_area"] = {"name": "Terra Ardida", "phrase": "terra ardida"}
    portuguese = english.model_validate(english.model_dump(by_alias=True) | {"lang": "pt", "classes": words})
    context = replace(CONTEXT, lexicons={"pt": build_lexicon(portuguese, TAXONOMY, "pt")})
    row = row_of(captions=caption("Uma imagem de terra ardida.", lang="pt"))
    assert [detail for _, detail in problems("event-words", row, context)] == ["burned_area"]
    assert problems("event-words", row) == []


# -- questions and hard negatives --------------------------------------------------------------------------------------

CONFIG = CaptionConfig(STYLES, 3, questions=8, hard_negatives=8)


def problems_of(facts, **changes):
    """Problems of the row rendered from a sample's facts, with some columns changed."""
    row = {
        "datetime": facts.time,
        "events": [asdict(event) for event in facts.events],
        "place": None,
        "captions": all_captions(facts),
        "questions": render_questions(facts, GRAMMAR, TAXONOMY, CONFIG),
        "hard_negatives": render_hard_negatives(facts, GRAMMAR, TAXONOMY, CONFIG),
        "sensor": facts.sensor,
        "lat": facts.lat,
        "labels": facts.labels,
        "fractions": facts.fractions,
        "subclasses": dict(facts.subclasses.values()),
    }
    recipe = SimpleNamespace(captions=["structured"] if facts.labels else [])
    return problems("captions", row | changes, replace(CONTEXT, recipe=recipe, lexicons=LEXICONS))


@given(sample_facts())
@examples(60)
def test_rendered_questions_and_hard_negatives_pass(facts):
    # Without fractions the land cover is unknown, so no class is absent.
    absent = facts.absent_classes if facts.fractions else ()
    assert problems_of(replace(facts, place=None, absent_event_classes=(), absent_classes=absent)) == []


BURNT_FOREST = facts_of(
    ("trees", "crops", "burned_area"),
    fractions={"trees": 0.75, "crops": 0.25},
    events=(EventFact("f", "fire", "after", 0.3, True, "p", 6, label="burned_area"),),
    absent_classes=("water",),
)
MORE, WATER = ["more:trees:crops"], "Does this image show water?"
LESS = "Is more of this image covered by crops than by trees?"
CROPS = "How much of this image is covered by crops?"


@pytest.mark.parametrize(("kind", "question", "answer", "evidence", "passes"), [
    ("comparison", LESS, "no", MORE, True),
    ("comparison", LESS, "yes", MORE, False),
    ("comparison", LESS, "no", ["more:crops:trees"], False),
    ("share", CROPS, "about a quarter", ["label:crops", "share:crops:quarter"], True),
    ("share", CROPS, "about half", ["label:crops", "share:crops:quarter"], False),
    ("share", CROPS, "about half", ["label:crops", "share:crops:half"], False),
    ("share", CROPS, "most of it", ["label:trees", "share:trees:most"], False),
    ("presence", WATER, "no", ["absent:water"], True),
    ("presence", WATER, "yes", ["absent:water"], False),
    ("presence", WATER, "no", ["absent:bare"], False),
    ("presence", WATER, "yes", [], False),
])  # fmt: skip
def test_answers_must_follow_from_the_facts(kind, question, answer, evidence, passes):
    row = {"lang": "en", "kind": kind, "question": question, "answer": answer, "evidence": evidence}
    assert (problems_of(BURNT_FOREST, questions=[row]) == []) == passes


@pytest.mark.parametrize("change", [
    {"falsified": "label:grass"},
    {"falsified": "season:winter", "replacement": "season:spring"},
    {"falsified": "share:trees:half", "replacement": "share:trees:some"},
    {"falsified": "event:f:during", "replacement": "event:f:before"},
    {"falsified": "moon:full", "replacement": "moon:new"},
    {"text": all_captions(BURNT_FOREST)[0]["text"], "falsified": "season:summer", "replacement": "season:winter"},
])  # fmt: skip
def test_a_hard_negative_must_falsify_a_fact_and_differ_from_the_captions(change):
    rows = render_hard_negatives(BURNT_FOREST, GRAMMAR, TAXONOMY, CONFIG)
    row = next(row for row in rows if row["falsified"] == "label:trees")
    assert problems_of(BURNT_FOREST, hard_negatives=[row]) == []
    assert problems_of(BURNT_FOREST, hard_negatives=[row | change])


# -- labels against pixels ---------------------------------------------------------------------------------------------


def taxonomy_of(**traits):
    """The shipped classes with water called `open_water`; traits of classes by keyword, else none."""
    classes = {"open_water" if key == "water" else key: entry for key, entry in TAXONOMY.classes.items()}
    classes = {key: entry.model_copy(update={"traits": traits.get(key, ())}) for key, entry in classes.items()}
    return TAXONOMY.model_copy(update={"name": "mine", "classes": classes})


def flagged(check, taxonomy, *samples):
    """Ids of the samples, (class, measure), that a check reports."""
    rows = [
        {"id": f"{key}-{value:g}", "fractions": [(key, 1.0)], "events": [], "cloud_pct": 0.0, "snow_pct": 0.0,
         "water_pct": value, "ndvi_mean": value}
        for key, value in samples
    ]  # fmt: skip
    inputs = CheckInput(replace(CONTEXT, manifest=SimpleNamespace(taxonomy=taxonomy)), sample_table(rows), {}, {}, True)
    return sorted(flag.subject for flag in CORPUS_CHECKS[check](inputs, PROFILE.checks[check].limits))


def test_checks_of_pixels_use_the_traits_of_classes():
    own = taxonomy_of(open_water=("water",), trees=("green",), bare=("bare",), flooded_vegetation=("water", "green"))
    marsh = [("flooded_vegetation", 100), ("flooded_vegetation", 0)]
    water = [("open_water", 100), ("open_water", 0), ("bare", 100)]
    assert flagged("water-index", own, *water, *marsh) == ["bare-100", "open_water-0"]
    green = [("open_water", -0.2), ("open_water", 0.8), ("trees", 0.1), ("trees", 0.8), ("flooded_vegetation", 0.1)]
    assert flagged("vegetation-index", own, *green) == ["open_water-0.8", "trees-0.1"]
    assert flagged("water-index", TAXONOMY, ("water", 100), ("snow_and_ice", 100), ("grass", 100)) == ["grass-100"]


@pytest.mark.parametrize("check", TRAIT_CHECKS)
def test_without_traits_these_checks_are_skipped(check):
    with pytest.raises(NotApplicable):
        flagged(check, taxonomy_of(), ("open_water", 100))


# -- information -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_entropy_follows_the_definition_and_bound(counts):
    shares = np.array(counts) / sum(counts)
    assert entropy_bits(np.array(counts)) == pytest.approx(-sum(share * np.log2(share) for share in shares), abs=1e-9)
    assert entropy_bits(np.array(counts)) <= np.log2(len(counts)) + 1e-9


def test_only_a_related_circumstance_explains_a_class():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 5, 2000).tolist()
    assert explained_pct([number == 3 for number in place], place) > 99
    # In so few samples chance explains a little; the correction subtracts it.
    assert max(explained_pct((rng.random(2000) < 0.3).tolist(), place) for _ in range(20)) < 1
    assert explained_pct([True] * 10, list(range(10))) == 0


def test_a_partial_explanation_has_the_expected_share():
    # All samples of place a have the class, and half of those of b: 1 - H(1/2)/2 over H(3/4).
    has_class, place = [True] * 4000 + [True, False] * 2000, ["a"] * 4000 + ["b"] * 4000
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert explained_pct(has_class, place) == pytest.approx(100 * (entropy - 0.5) / entropy, abs=0.05)
