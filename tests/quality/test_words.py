"""What single rows and the words of a whole corpus show, on rows made by hand."""

import datetime as dt
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.grammar import load_grammar
from landmark.captions.negatives import hard_negatives
from landmark.captions.parse import lexicon
from landmark.captions.questions import questions
from landmark.captions.render import Wanted
from landmark.core.yaml_files import load_model
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Taxonomy
from landmark.quality.bias import explained_pct
from landmark.quality.captions import captions as captions_check
from landmark.quality.evidence import CorpusContext
from landmark.quality.row_checks import ROW_CHECKS
from landmark.quality.words import entropy_bits
from tests.captions.scenes import GRAMMAR, LEXICONS, STYLES, every, scene, scenes
from tests.parts import examples

TAXONOMY = load_model(Taxonomy, "taxonomies", "landmark")
RECIPE = {"thresholds": {"default": 5, "classes": {"built": 2}}, "captions": ["structured"]}
KNOWN = CorpusContext(
    root=None, manifest=SimpleNamespace(taxonomy=TAXONOMY), recipe=RECIPE, max_gap_days={"corine": 2200}, limits={}
)
LIMITS = {"fractions": {"tolerance": 5e-4}, "label-gap": {"max_gap_days": 1100}}
classes = st.lists(
    st.sampled_from([key for key, one in TAXONOMY.classes.items() if not one.event]), unique=True, min_size=1
)


def row_of(of=("water", "trees"), **changes):
    """A row whose facts agree, but for what is changed."""
    text = ". ".join(TAXONOMY.classes[key].name["en"].lower() for key in of)
    share = {key: 1 / len(of) for key in of}
    spoken = [TAXONOMY.classes[key].name["en"].lower() for key in of]
    starts = [len(". ".join([*spoken[:place], ""])) for place in range(len(of))]
    evidence = [
        {"start": start, "end": start + len(words), "fact": f"label:{key}"}
        for key, words, start in zip(of, spoken, starts, strict=True)
    ]
    caption = {"style": "structured", "lang": "en", "text": text, "template": "structured@1", "evidence": evidence}
    row = {
        "id": "s2_32n_1_2_20210601t100000_r001",
        "sensor": "s2",
        "datetime": dt.datetime(2021, 6, 1, 10, tzinfo=dt.UTC),
        "labels": list(of),
        "fractions": share,
        "subclasses": {f"corine/{key}": value for key, value in share.items()},
        "agreement": {},
        "sources": [{"name": "corine", "version": "1", "year": 2018, "gap_days": 882, "agreement": None}],
        "events": [],
        "captions": [caption],
    }
    return row | changes


def told(check, row):
    return {what for what, _ in ROW_CHECKS[check](row, KNOWN, LIMITS.get(check, {}))}


def spoken(text, **changes):
    return [{"style": "sentence", "lang": "en", "text": text, "template": "x", "evidence": [], **changes}]


WORDS = ("captions", "fractions", "vocabulary", "label-gap", "event-words")


@given(classes)
@examples(30)
def test_true_words_pass(labels):
    assert {name: told(name, row_of(labels)) for name in WORDS} == {name: set() for name in WORDS}


@pytest.mark.parametrize(
    ("check", "changes", "what"),
    [
        ("captions", {"captions": []}, "a structured caption is missing"),
        ("captions", {"labels": ["trees", "water"]}, "a structured caption is not the sample's labels"),
        ("captions", {"labels": ["water"]}, "a caption names a class the sample does not have"),
        ("captions", {"labels": ["water", "trees", "grass"]}, "a caption omits a class of the sample"),
        ("fractions", {"fractions": {"water": 0.6, "trees": 0.3}}, "fractions do not sum to one"),
        ("fractions", {"subclasses": {"corine/sea": 1.2}}, "subclasses do not sum to one"),
        ("fractions", {"fractions": {"water": 0.97, "trees": 0.03}}, "a label is below its threshold"),
        (
            "fractions",
            {"fractions": {"water": 0.6, "trees": 0.37, "built": 0.03}},
            "a class above its threshold is no label",
        ),
        ("fractions", {"fractions": {"water": 0.4, "trees": 0.6}}, "labels do not stand in the order of their shares"),
        ("vocabulary", {"labels": ["swamp"]}, "labels hold a class the taxonomy does not define"),
        ("vocabulary", {"subclasses": {"urban-atlas/park": 1.0}}, "a finer class is of a source the sample does not name"),
        ("vocabulary", {"captions": spoken("forÃªt")}, "a caption holds broken characters"),
        ("vocabulary", {"captions": spoken("for\N{REPLACEMENT CHARACTER}t")}, "a caption holds broken characters"),
        ("captions", {"captions": spoken(" ")}, "a caption is empty"),
        ("captions", {"captions": spoken("A {sensor} of water and trees.")}, "a caption holds a slot nobody filled"),
        ("captions", {"captions": spoken("trees, water")}, "a caption names a class without evidence"),
        (
            "captions",
            {"captions": spoken("trees, water", evidence=[{"start": 0, "end": 5, "fact": "label:water"}])},
            "evidence points at other words than its fact",
        ),
        (
            "captions",
            {"captions": spoken("trees, water", evidence=[{"start": 7, "end": 40, "fact": "label:water"}])},
            "evidence points outside its caption, or overlaps",
        ),
        ("event-words", {"labels": ["burned_area"]}, "a crisis class without an event"),
        ("event-words", {"captions": spoken("Burned area and trees.")}, "a crisis class without an event"),
        (
            "event-words",
            {"labels": ["flooded_area"], "events": [{"phase": "before", "id": "E", "product": ""}]},
            "a crisis class on an image taken before its event",
        ),
    ],
)
def test_untrue_words_are_told_by_what_is_wrong(check, changes, what):
    assert what in told(check, row_of(**changes))


@pytest.mark.parametrize(("gap_days", "year", "whats"), [
    (2199, 2015, set()),
    (2400, 2014, {"corine is too far from the image in time"}),
    (10, 2018, {"year and gap_days of corine contradict each other"}),
])  # fmt: skip
def test_a_label_map_may_be_as_old_as_its_source_allows(gap_days, year, whats):
    source = {"name": "corine", "version": "1", "year": year, "gap_days": gap_days, "agreement": None}
    assert told("label-gap", row_of(sources=[source])) == whats


@pytest.mark.parametrize("text", [
    "https://a.blob.core.windows.net/c/B02.tif?sv=2024&sig=abc%3D",
    "https://b.s3.amazonaws.com/x.tif?X-Amz-Signature=0f",
    "/home/ada/data/B02.tif",
    "file:///data/B02.tif",
    "C:\\\\Users\\\\ada\\\\B02.tif",
])  # fmt: skip
def test_signed_addresses_and_paths_of_machines_are_told_without_the_token(text):
    plain = {"product": "S2MSI2A", "platform": None, "baseline": None, "offset_rule": None, "licences": []}
    found = list(ROW_CHECKS["secrets"](row_of(items=[text], **plain), KNOWN, {}))
    assert len(found) == 1 and "abc" not in found[0][1]
    assert not list(ROW_CHECKS["secrets"](row_of(items=["S2A_MSIL2A_20210601"], **plain), KNOWN, {}))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("flooded vegetation", {"flooded_vegetation"}),
        ("Built-up land, grassland and waterways", {"built", "grass"}),
        ("shrub and scrub. snow and ice", {"shrub_and_scrub", "snow_and_ice"}),
        ("A Sentinel-2 optical image.", set()),
    ],
)
def test_classes_are_heard_by_their_longest_words(text, keys):
    assert lexicon(None, TAXONOMY, "en").labels(text) == keys


def test_crisis_words_are_heard_in_a_language_the_taxonomy_lacks():
    """Of the corpus's own file; where it was sealed without one, nothing is heard, and nothing breaks."""
    english = load_grammar(("structured",), taxonomy=TAXONOMY, types=()).languages["en"]
    words = {key: {"name": f"{key} (pt)", "phrase": f"{key} (pt)"} for key in TAXONOMY.classes}
    words["burned_area"] = {"name": "Terra Ardida", "phrase": "terra ardida"}
    language = english.model_validate(english.model_dump(by_alias=True) | {"lang": "pt", "classes": words})
    heard = replace(KNOWN, lexicons={"pt": lexicon(language, TAXONOMY, "pt")})
    said = [{"style": "sentence", "lang": "pt", "text": "Uma imagem de terra ardida.", "template": "x", "evidence": []}]
    row = row_of(captions=said)
    assert list(ROW_CHECKS["event-words"](row, heard, {})) == [("a crisis class without an event", "burned_area")]
    assert told("event-words", row) == set()
    assert "a caption omits a class of the sample" not in told("captions", row)


# -- questions and hard negatives --------------------------------------------------------------------------------------

WANTED = Wanted(STYLES, 3, questions=8, hard_negatives=8)


def told_of(where, **changes):
    """What the gate says of a scene's own row, but for what is changed."""
    row = {
        "datetime": where.moment,
        "events": [asdict(fact) for fact in where.events],
        "place": None,
        "captions": every(where),
        "questions": questions(where, GRAMMAR, TAXONOMY, WANTED),
        "hard_negatives": hard_negatives(where, GRAMMAR, TAXONOMY, WANTED),
        **{name: getattr(where, name) for name in ("sensor", "lat", "labels")},
        "fractions": where.shares,
        "subclasses": dict(where.finer.values()),
    }
    recipe = {"captions": ["structured"] if where.labels else []}
    return {what for what, _ in captions_check(row | changes, replace(KNOWN, recipe=recipe, lexicons=LEXICONS), {})}


@given(scenes())
@examples(60)
def test_questions_and_hard_negatives_of_any_scene_pass_the_gate(where):
    # A cell without classes is of unknown cover, and nothing is absent there.
    where = replace(where, place=None, looked_for=(), absent=where.absent if where.shares else ())
    assert told_of(where) == set()


BURNT = EventFact("f", "fire", "after", 0.3, True, "p", 6, label="burned_area")
WOOD = scene(
    ("trees", "crops", "burned_area"), shares={"trees": 0.75, "crops": 0.25}, events=(BURNT,), absent=("water",)
)
MORE, WATER = ["more:trees:crops"], "Does this image show water?"
LESS = "Is more of this image covered by crops than by trees?"
CROPS = "How much of this image is covered by crops?"


@pytest.mark.parametrize(("kind", "question", "answer", "evidence", "what"), [
    ("comparison", LESS, "no", MORE, None),
    ("comparison", LESS, "yes", MORE, "an answer is not what the facts say"),
    ("comparison", LESS, "no", ["more:crops:trees"], "an answer rests on no fact of the sample"),
    ("share", CROPS, "about a quarter", ["label:crops", "share:crops:quarter"], None),
    ("share", CROPS, "about half", ["label:crops", "share:crops:quarter"], "an answer is not what the facts say"),
    ("share", CROPS, "about half", ["label:crops", "share:crops:half"], "an answer is not what the facts say"),
    ("share", CROPS, "most of it", ["label:trees", "share:trees:most"],
     "a question does not ask for the facts of its answer"),
    ("presence", WATER, "no", ["absent:water"], None),
    ("presence", WATER, "yes", ["absent:water"], "an answer is not what the facts say"),
    ("presence", WATER, "no", ["absent:bare"], "a question does not ask for the facts of its answer"),
    ("presence", WATER, "yes", [], "a question does not ask for the facts of its answer"),
])  # fmt: skip
def test_an_answer_is_held_against_the_facts(kind, question, answer, evidence, what):
    one = {"lang": "en", "kind": kind, "question": question, "answer": answer, "evidence": evidence}
    assert told_of(WOOD, questions=[one]) == ({what} if what else set())


@pytest.mark.parametrize(("change", "what"), [
    ({"falsified": "label:grass"}, "a hard negative falsifies no fact of the sample"),
    ({"falsified": "season:winter", "replacement": "season:spring"}, "a hard negative falsifies no fact of the sample"),
    ({"falsified": "share:trees:half", "replacement": "share:trees:some"},
     "a hard negative falsifies no fact of the sample"),
    ({"falsified": "event:f:during", "replacement": "event:f:before"}, "a hard negative falsifies no fact of the sample"),
    ({"falsified": "moon:full", "replacement": "moon:new"}, "a hard negative falsifies no fact of the sample"),
    ({"text": every(WOOD)[0]["text"], "falsified": "season:summer", "replacement": "season:winter"},
     "a hard negative says what is so"),
])  # fmt: skip
def test_a_hard_negative_falsifies_a_fact_and_is_no_caption(change, what):
    (lie, *_) = (one for one in hard_negatives(WOOD, GRAMMAR, TAXONOMY, WANTED) if one["falsified"] == "label:trees")
    assert told_of(WOOD, hard_negatives=[lie]) == set()
    assert what in told_of(WOOD, hard_negatives=[lie | change])


# -- information -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_entropy_is_that_of_the_definition_and_at_most_the_logarithm_of_the_kinds(counts):
    shares = np.array(counts) / sum(counts)
    assert entropy_bits(np.array(counts)) == pytest.approx(-sum(share * np.log2(share) for share in shares), abs=1e-9)
    assert entropy_bits(np.array(counts)) <= np.log2(len(counts)) + 1e-9


def test_a_circumstance_that_decides_a_class_explains_it_and_one_that_does_not_explains_nothing():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 5, 2000).tolist()
    assert explained_pct([one == 3 for one in place], place) > 99
    # Chance alone explains a little in so few samples; the correction takes it away.
    assert max(explained_pct((rng.random(2000) < 0.3).tolist(), place) for _ in range(20)) < 1
    assert explained_pct([True] * 10, list(range(10))) == 0


def test_half_an_explanation_is_half():
    # Of one place all carry the class and of the other half do: 1 - H(1/2)/2 over H(3/4).
    carries, place = [True] * 4000 + [True, False] * 2000, ["a"] * 4000 + ["b"] * 4000
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert explained_pct(carries, place) == pytest.approx(100 * (entropy - 0.5) / entropy, abs=0.05)
