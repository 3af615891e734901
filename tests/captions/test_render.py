import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from landmark.captions.grammar import Grammar, load_grammar
from landmark.captions.language import Language
from landmark.captions.markup import parse_template
from landmark.captions.sample_facts import season_at
from landmark.core.errors import InputError
from tests.captions.samples import ENGLISH, TAXONOMY, captions_by_style, facts_of, sample_facts
from tests.parts import examples

STYLES = ("structured", "sentence")
WORDS = ENGLISH.languages["en"]
SEASONS = ("winter", "spring", "summer", "autumn")
SENSORS = {"s1": "Sentinel-1 radar image", "s2": "Sentinel-2 optical image"}
# Words → the fact they state, of every concept a caption could name.
CONCEPTS = (
    {entry.phrase["en"]: f"label:{key}" for key, entry in TAXONOMY.classes.items()}
    | {entry.name["en"].lower(): f"label:{key}" for key, entry in TAXONOMY.classes.items()}
    | {name: f"season:{name}" for name in SEASONS}
    | {words.lower(): f"sensor:{key}" for key, words in SENSORS.items()}
)


def grammar_with(**changes):
    """The English grammar with other templates."""
    changed = WORDS.model_dump(by_alias=True) | {"styles": {"sentence": changes["sentence"]}}
    return Grammar(languages={"en": Language.model_validate(changed)})


def stated(text):
    """The facts that the words of a text name, determined without looking at the evidence; longest words first."""
    facts = set()
    for words in sorted(CONCEPTS, key=len, reverse=True):
        pattern = rf"(?<![\w-]){re.escape(words)}(?![\w-])"
        if re.search(pattern, text, re.IGNORECASE):
            facts.add(CONCEPTS[words])
            text = re.sub(pattern, "…", text, flags=re.IGNORECASE)
    return facts, text


def facts(sample):
    known = {f"label:{key}" for key in sample.labels} | {f"sensor:{sample.sensor}"}
    when = season_at(sample.time, sample.lat)
    return known | ({f"season:{when}"} if when else set())


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_english_captions_state_only_facts_of_the_sample(sample, seed):
    for row in captions_by_style(sample, seed=seed).values():
        assert stated(row["text"])[0] <= facts(sample)


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_a_sentence_states_all_facts(sample, seed):
    assert stated(captions_by_style(sample, seed=seed)["sentence"]["text"])[0] == facts(sample)


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_evidence_spans_cover_the_words_of_each_fact(sample, seed):
    for row in captions_by_style(sample, seed=seed).values():
        text, rest, end = row["text"], "", 0
        for span in row["evidence"]:
            assert end <= span["start"] < span["end"] <= len(text)
            assert CONCEPTS[text[span["start"] : span["end"]].lower()] == span["fact"]
            rest, end = rest + text[end : span["start"]] + "…", span["end"]
        assert stated(rest + text[end:])[0] == set()
        assert {span["fact"] for span in row["evidence"]} == stated(text)[0]


@given(sample_facts(), st.integers(0, 9))
@examples(100)
def test_a_sentence_has_clean_punctuation_and_articles(sample, seed):
    text = captions_by_style(sample, seed=seed)["sentence"]["text"]
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text, re.IGNORECASE)
    assert not re.search(r"[{}]|  | [.,]|,,|\.\.|None", text)
    assert text[0].isupper() and text.endswith(".") and text.count(".") == 1


@pytest.mark.parametrize("template", WORDS.styles["sentence"])
@pytest.mark.parametrize("month", [1, 4, 7, 10])
@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_templates_use_the_right_article(template, month, sensor):
    single = grammar_with(sentence=[template.model_dump()])
    for key in TAXONOMY.classes:
        text = captions_by_style(facts_of([key], month=month, sensor=sensor), ("sentence",), grammar=single)[
            "sentence"
        ]["text"]
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text, re.IGNORECASE)


# -- the structured caption --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (("trees", "grass", "flooded_vegetation"), "trees. grass. flooded vegetation"),
        (("trees", "grass", "water"), "trees. grass. water"),
        (("snow_and_ice",), "snow and ice"),
        (("shrub_and_scrub", "built"), "shrub and scrub. built"),
        (("burned_area", "flooded_area", "earthquake_damage"), "burned area. flooded area. earthquake damage"),
    ],
)
def test_structured_captions_equal_those_of_closp(labels, text):
    assert captions_by_style(facts_of(labels))["structured"]["text"].encode() == text.encode()


@given(st.lists(st.sampled_from(list(TAXONOMY.classes)), min_size=1, unique=True))
@examples(100)
def test_the_structured_caption_parses_back_into_ordered_labels(labels):
    names = {entry.name["en"].lower(): key for key, entry in TAXONOMY.classes.items()}
    assert [names[part] for part in captions_by_style(facts_of(labels))["structured"]["text"].split(". ")] == labels


def test_without_labels_only_the_sentence_is_rendered():
    rows = captions_by_style(facts_of([]))
    assert rows.keys() == {"sentence"} and rows["sentence"]["text"] == "A Sentinel-2 optical image taken in summer."


def test_without_labels_and_season_a_sentence_names_the_sensor():
    assert captions_by_style(facts_of([], lat=0.0, sensor="s1"))["sentence"]["text"] == "A Sentinel-1 radar image."


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["trees"], "of trees."),
        (["trees", "water"], "of trees and water."),
        (["trees", "water", "built"], "of trees, water and built-up land."),
        (["snow_and_ice", "bare"], "of snow and ice and bare ground."),
    ],
)
def test_a_list_is_joined_by_commas_and_a_final_and(labels, words):
    assert captions_by_style(facts_of(labels, lat=0.0))["sentence"]["text"] == f"A Sentinel-2 optical image {words}"


# -- seasons -----------------------------------------------------------------------------------------------------------

NORTH = ["winter", "winter", *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter"]
SOUTH = ["summer", "summer", *["autumn"] * 3, *["winter"] * 3, *["spring"] * 3, "summer"]


@pytest.mark.parametrize("month", range(1, 13))
def test_seasons_are_shifted_in_the_southern_hemisphere(month):
    moment = dt.datetime(2021, month, 1, tzinfo=dt.UTC)
    assert (season_at(moment, 45.0), season_at(moment, -45.0)) == (NORTH[month - 1], SOUTH[month - 1])


@given(st.floats(-23.44, 23.44), st.integers(1, 12), st.integers(0, 5))
@examples(50)
def test_between_the_tropics_no_caption_names_a_season(lat, month, seed):
    assert season_at(dt.datetime(2021, month, 1, tzinfo=dt.UTC), lat) is None
    text = captions_by_style(facts_of(["trees"], lat=lat, month=month), seed=seed)["sentence"]["text"]
    assert not any(name in text for name in SEASONS)


# -- templates ---------------------------------------------------------------------------------------------------------


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_the_template_with_the_most_filled_slots_is_used(sample, seed):
    have = {"sensor"} | ({"labels"} if sample.labels else set())
    have |= {"season"} if season_at(sample.time, sample.lat) else set()
    for style, row in captions_by_style(sample, seed=seed).items():
        needs = {
            f"{template.id}@{WORDS.version}": parse_template(template.text).required_slots
            for template in WORDS.styles[style]
        }
        assert needs[row["template"]] <= have
        assert len(needs[row["template"]]) == max(len(each) for each in needs.values() if each <= have)


@given(sample_facts(), st.integers(0, 9))
@examples(60)
def test_captions_are_deterministic(sample, seed):
    assert captions_by_style(sample, seed=seed) == captions_by_style(sample, seed=seed)
    assert captions_by_style(sample, ("sentence",), seed) == {
        "sentence": captions_by_style(sample, seed=seed)["sentence"]
    }


def test_id_and_seed_select_from_all_equivalent_templates():
    by_id = {captions_by_style(facts_of(id=f"id{number}"))["sentence"]["template"] for number in range(60)}
    by_seed = {captions_by_style(facts_of(), seed=number)["sentence"]["template"] for number in range(60)}
    assert by_id == by_seed == {"sentence-1@1", "sentence-2@1", "sentence-3@1"}


def test_captions_of_fixed_ids_do_not_change():
    assert [
        captions_by_style(facts_of(["trees", "water"], id=id))["sentence"]["text"] for id in ("a", "b", "c", "d")
    ] == [
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "This Sentinel-2 optical image, taken in summer, shows trees and water.",
    ]


def test_templates_with_a_missing_fact_are_not_used():
    templates = [{"id": "one", "text": "In {season}."}, {"id": "two", "text": "{Labels}, {season}."}]
    grammar = grammar_with(sentence=templates)
    assert captions_by_style(facts_of([], lat=0.0), ("sentence",), grammar=grammar) == {}
    assert captions_by_style(facts_of([]), ("sentence",), grammar=grammar)["sentence"]["text"] == "In summer."
    assert captions_by_style(facts_of(["trees"], lat=0.0), ("sentence",), grammar=grammar) == {}
    assert (
        captions_by_style(facts_of(["bare"]), ("sentence",), grammar=grammar)["sentence"]["text"]
        == "Bare ground, summer."
    )


def test_an_unknown_slot_is_rejected():
    with pytest.raises(ValidationError):
        grammar_with(sentence=[{"id": "one", "text": "In {weather}."}])


@pytest.mark.parametrize("text", ["a } b", "[in {season}", "in {season}]", "[x] {season}"])
def test_an_invalid_template_is_rejected(text):
    with pytest.raises(ValidationError):
        grammar_with(sentence=[{"id": "one", "text": text}])


def test_a_group_without_facts_is_omitted():
    grammar = grammar_with(sentence=[{"id": "one", "text": "A {sensor}[ in {season}[: {labels}]]."}])
    assert (
        captions_by_style(facts_of(), ("sentence",), grammar=grammar)["sentence"]["text"]
        == "A Sentinel-2 optical image in summer: trees."
    )
    assert (
        captions_by_style(facts_of([]), ("sentence",), grammar=grammar)["sentence"]["text"]
        == "A Sentinel-2 optical image in summer."
    )
    assert (
        captions_by_style(facts_of(lat=0.0), ("sentence",), grammar=grammar)["sentence"]["text"]
        == "A Sentinel-2 optical image."
    )


def test_an_unknown_style_is_rejected():
    with pytest.raises(InputError) as caught:
        load_grammar(("structured", "haiku"), taxonomy=TAXONOMY)
    assert caught.value.key == "styles.haiku"


def test_land_cover_captions_have_no_event_words():
    for key, entry in TAXONOMY.classes.items():
        if not entry.event:
            text = " ".join(row["text"] for row in captions_by_style(facts_of([key])).values())
            assert not re.search(r"flooded (area|land)|damage|burn", text)
