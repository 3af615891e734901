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
from tests.captions.scenes import ENGLISH, TAXONOMY, scene, scenes, told
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


def speaking(**changes):
    """English with other templates."""
    changed = WORDS.model_dump(by_alias=True) | {"styles": {"sentence": changes["sentence"]}}
    return Grammar(languages={"en": Language.model_validate(changed)})


def stated(text):
    """The facts that the words of a text name, found without looking at the evidence; longest words first."""
    found = set()
    for words in sorted(CONCEPTS, key=len, reverse=True):
        pattern = rf"(?<![\w-]){re.escape(words)}(?![\w-])"
        if re.search(pattern, text, re.IGNORECASE):
            found.add(CONCEPTS[words])
            text = re.sub(pattern, "…", text, flags=re.IGNORECASE)
    return found, text


def facts(where):
    known = {f"label:{key}" for key in where.labels} | {f"sensor:{where.sensor}"}
    when = season_at(where.moment, where.lat)
    return known | ({f"season:{when}"} if when else set())


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_a_caption_names_no_concept_absent_from_its_facts(where, seed):
    for row in told(where, seed=seed).values():
        assert stated(row["text"])[0] <= facts(where)


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_a_sentence_states_every_fact_there_is(where, seed):
    assert stated(told(where, seed=seed)["sentence"]["text"])[0] == facts(where)


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_evidence_points_at_the_words_of_each_fact_and_at_nothing_else(where, seed):
    for row in told(where, seed=seed).values():
        text, rest, end = row["text"], "", 0
        for span in row["evidence"]:
            assert end <= span["start"] < span["end"] <= len(text)
            assert CONCEPTS[text[span["start"] : span["end"]].lower()] == span["fact"]
            rest, end = rest + text[end : span["start"]] + "…", span["end"]
        assert stated(rest + text[end:])[0] == set()
        assert {span["fact"] for span in row["evidence"]} == stated(text)[0]


@given(scenes(), st.integers(0, 9))
@examples(100)
def test_a_text_is_one_clean_sentence_with_the_right_articles(where, seed):
    text = told(where, seed=seed)["sentence"]["text"]
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text, re.IGNORECASE)
    assert not re.search(r"[{}]|  | [.,]|,,|\.\.|None", text)
    assert text[0].isupper() and text.endswith(".") and text.count(".") == 1


@pytest.mark.parametrize("template", WORDS.styles["sentence"])
@pytest.mark.parametrize("month", [1, 4, 7, 10])
@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_no_template_ever_says_a_before_a_vowel(template, month, sensor):
    alone = speaking(sentence=[template.model_dump()])
    for key in TAXONOMY.classes:
        text = told(scene([key], month=month, sensor=sensor), ("sentence",), grammar=alone)["sentence"]["text"]
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
def test_the_structured_caption_is_closps_byte_for_byte(labels, text):
    assert told(scene(labels))["structured"]["text"].encode() == text.encode()


@given(st.lists(st.sampled_from(list(TAXONOMY.classes)), min_size=1, unique=True))
@examples(100)
def test_the_structured_caption_parses_back_into_its_labels_in_order(labels):
    names = {entry.name["en"].lower(): key for key, entry in TAXONOMY.classes.items()}
    assert [names[part] for part in told(scene(labels))["structured"]["text"].split(". ")] == labels


def test_without_labels_there_is_no_structured_caption_but_a_sentence():
    rows = told(scene([]))
    assert rows.keys() == {"sentence"} and rows["sentence"]["text"] == "A Sentinel-2 optical image taken in summer."


def test_without_labels_and_season_a_sentence_still_names_the_sensor():
    assert told(scene([], lat=0.0, sensor="s1"))["sentence"]["text"] == "A Sentinel-1 radar image."


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["trees"], "of trees."),
        (["trees", "water"], "of trees and water."),
        (["trees", "water", "built"], "of trees, water and built-up land."),
        (["snow_and_ice", "bare"], "of snow and ice and bare ground."),
    ],
)
def test_a_list_is_joined_by_commas_and_one_and(labels, words):
    assert told(scene(labels, lat=0.0))["sentence"]["text"] == f"A Sentinel-2 optical image {words}"


# -- seasons -----------------------------------------------------------------------------------------------------------

NORTH = ["winter", "winter", *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter"]
SOUTH = ["summer", "summer", *["autumn"] * 3, *["winter"] * 3, *["spring"] * 3, "summer"]


@pytest.mark.parametrize("month", range(1, 13))
def test_seasons_turn_round_in_the_other_hemisphere(month):
    moment = dt.datetime(2021, month, 1, tzinfo=dt.UTC)
    assert (season_at(moment, 45.0), season_at(moment, -45.0)) == (NORTH[month - 1], SOUTH[month - 1])


@given(st.floats(-23.44, 23.44), st.integers(1, 12), st.integers(0, 5))
@examples(50)
def test_between_the_tropics_no_caption_names_a_season(lat, month, seed):
    assert season_at(dt.datetime(2021, month, 1, tzinfo=dt.UTC), lat) is None
    text = told(scene(["trees"], lat=lat, month=month), seed=seed)["sentence"]["text"]
    assert not any(name in text for name in SEASONS)


# -- templates ---------------------------------------------------------------------------------------------------------


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_the_template_used_has_a_fact_for_every_slot_and_no_usable_one_states_more(where, seed):
    have = {"sensor"} | ({"labels"} if where.labels else set())
    have |= {"season"} if season_at(where.moment, where.lat) else set()
    for style, row in told(where, seed=seed).items():
        needs = {f"{one.id}@{WORDS.version}": parse_template(one.text).required_slots for one in WORDS.styles[style]}
        assert needs[row["template"]] <= have
        assert len(needs[row["template"]]) == max(len(each) for each in needs.values() if each <= have)


@given(scenes(), st.integers(0, 9))
@examples(60)
def test_a_caption_follows_from_facts_id_and_seed_alone(where, seed):
    assert told(where, seed=seed) == told(where, seed=seed)
    assert told(where, ("sentence",), seed) == {"sentence": told(where, seed=seed)["sentence"]}


def test_ids_and_seeds_draw_among_all_templates_of_the_same_facts():
    by_id = {told(scene(id=f"id{number}"))["sentence"]["template"] for number in range(60)}
    by_seed = {told(scene(), seed=number)["sentence"]["template"] for number in range(60)}
    assert by_id == by_seed == {"sentence-1@1", "sentence-2@1", "sentence-3@1"}


def test_the_words_of_an_id_stay_what_they_are():
    assert [told(scene(["trees", "water"], id=id))["sentence"]["text"] for id in ("a", "b", "c", "d")] == [
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "Trees and water in summer, in a Sentinel-2 optical image.",
        "This Sentinel-2 optical image, taken in summer, shows trees and water.",
    ]


def test_a_template_whose_fact_is_missing_is_never_used():
    templates = [{"id": "one", "text": "In {season}."}, {"id": "two", "text": "{Labels}, {season}."}]
    needy = speaking(sentence=templates)
    assert told(scene([], lat=0.0), ("sentence",), grammar=needy) == {}
    assert told(scene([]), ("sentence",), grammar=needy)["sentence"]["text"] == "In summer."
    assert told(scene(["trees"], lat=0.0), ("sentence",), grammar=needy) == {}
    assert told(scene(["bare"]), ("sentence",), grammar=needy)["sentence"]["text"] == "Bare ground, summer."


def test_a_slot_nobody_knows_is_refused():
    with pytest.raises(ValidationError, match=r"no slot \{weather\}; there are date, effects, events, labels"):
        speaking(sentence=[{"id": "one", "text": "In {weather}."}])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a } b", "stray"),
        ("[in {season}", r"without its \]"),
        ("in {season}]", r"without its \["),
        ("[x] {season}", "a slot of its own"),
    ],
)
def test_a_template_that_cannot_be_read_is_refused(text, what):
    with pytest.raises(ValidationError, match=what):
        speaking(sentence=[{"id": "one", "text": text}])


def test_a_group_is_left_out_where_a_slot_of_it_has_no_fact():
    grouped = speaking(sentence=[{"id": "one", "text": "A {sensor}[ in {season}[: {labels}]]."}])
    assert (
        told(scene(), ("sentence",), grammar=grouped)["sentence"]["text"]
        == "A Sentinel-2 optical image in summer: trees."
    )
    assert (
        told(scene([]), ("sentence",), grammar=grouped)["sentence"]["text"] == "A Sentinel-2 optical image in summer."
    )
    assert told(scene(lat=0.0), ("sentence",), grammar=grouped)["sentence"]["text"] == "A Sentinel-2 optical image."


def test_a_style_nobody_wrote_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"en\.yaml: .*no style 'haiku'; there are structured, sentence, detailed"):
        load_grammar(("structured", "haiku"), taxonomy=TAXONOMY)


def test_land_cover_alone_never_gives_a_word_of_crisis():
    for key, entry in TAXONOMY.classes.items():
        if not entry.event:
            text = " ".join(row["text"] for row in told(scene([key])).values())
            assert not re.search(r"flooded (area|land)|damage|burn", text)
