"""Captions of all languages and styles state only facts of the sample and can be parsed back."""

import datetime as dt
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.grammar import load_grammar
from landmark.captions.parse import build_lexicon
from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import NearestPlace, Renderer, season_at
from landmark.core.errors import InputError, UnknownName
from landmark.core.resources import resource_dir
from landmark.core.yaml_files import load_model
from landmark.domain.event import EventFact
from landmark.domain.taxonomy import Crosswalk
from tests.captions.samples import (
    GRAMMAR,
    LANGS,
    LEXICONS,
    STYLES,
    TAXONOMY,
    TYPES,
    all_captions,
    facts_of,
    place_names,
    sample_facts,
)
from tests.parts import examples, text

CORINE, WORLDCOVER = (load_model(Crosswalk, "taxonomies", name) for name in ("corine", "worldcover"))
LATE = {"from": 5, "class": "{class}", "alone": "x", "part": "y"}
NOUNS = {lang: {kind.name[lang] for kind in TYPES.values()} for lang in LANGS}


def facts(sample):
    """Facts that captions of a sample may state."""
    known = {f"label:{key}" for key in sample.labels} | {f"sensor:{sample.sensor}", f"season:{sample.season}"}
    known |= {f"finer:{subclass}" for key, (subclass, _) in sample.subclasses.items() if key in sample.labels}
    return known | {f"event_type:{fact.type}" for fact in sample.mentionable_events}


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_captions_state_only_facts_of_the_sample(sample, seed):
    for row in all_captions(sample, seed, each=3):
        stated = LEXICONS[row["lang"]].find_facts(row["text"], place_names(sample))
        assert {match.fact for match in stated} <= facts(sample)


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_captions_parse_back_into_the_labels(sample, seed):
    rows = all_captions(sample, seed, each=3)
    assert {row["lang"] for row in rows} == set(LANGS)
    for row in rows:
        assert LEXICONS[row["lang"]].find_labels(row["text"], place_names(sample)) == set(sample.labels)


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_captions_name_exactly_the_mentionable_events(sample, seed):
    mentionable = {
        fact.type
        for fact in sample.events
        if fact.label or (fact.distance_km is not None and fact.phase in ("during", "after"))
    }
    for row in all_captions(sample, seed):
        text = row["text"]
        for name in place_names(sample):
            text = text.replace(name, "")
        for kind, words in TYPES.items():
            # `earthquake` stands in its class's name, too.
            mentioned = re.search(rf"\b{words.name[row['lang']]}\b", text)
            assert not mentioned or kind in mentionable
            assert (
                mentioned or row["style"] != "detailed" or kind not in {fact.type for fact in sample.mentionable_events}
            )


@given(sample_facts(), st.integers(0, 9))
@examples(100)
def test_captions_before_an_event_do_not_mention_the_event(sample, seed):
    before = replace(
        sample,
        labels=tuple(key for key in sample.labels if not TAXONOMY.classes[key].event),
        events=tuple(replace(fact, phase="before", days=-abs(fact.days), label=None) for fact in sample.events),
        place=None,
    )
    for row in all_captions(before, seed, each=2):
        assert not any(re.search(rf"\b{noun}\b", row["text"].lower()) for noun in NOUNS[row["lang"]])
        assert not re.search(
            r"flooded (?!veg)|burn|damage|brûl|sismique|sous les eaux|quemad|daños", row["text"].lower()
        )


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_evidence_spans_are_exact(sample, seed):
    for row in all_captions(sample, seed, each=2):
        end, words = 0, LEXICONS[row["lang"]]
        for span in row["evidence"]:
            assert end <= span["start"] < span["end"] <= len(row["text"])
            words_of_span, end = row["text"][span["start"] : span["end"]], span["end"]
            assert words_of_span == words_of_span.strip()
            kind, _, value = span["fact"].partition(":")
            if kind in ("label", "sensor", "season", "finer"):
                assert {match.fact for match in words.find_facts(words_of_span)} == {span["fact"]}
            if kind == "place":
                assert value.removeprefix("Le ").removeprefix("Les ")[1:] in words_of_span
            if kind == "date":
                assert value == f"{sample.time:%Y-%m}" and str(sample.time.year) in words_of_span
        stated = {
            match.fact
            for match in words.find_facts(row["text"], place_names(sample))
            if not match.fact.startswith("event_type")
        }
        assert stated <= {span["fact"] for span in row["evidence"]}


@given(sample_facts(), st.integers(0, 9))
@examples(100)
def test_words_for_shares_match_the_fractions(sample, seed):
    affected = {fact.label: fact.fraction for fact in reversed(sample.mentionable_events) if fact.label}
    for row in all_captions(sample, seed):
        bounds = [(key, words.from_pct) for key, words in GRAMMAR.languages[row["lang"]].shares.items()] + [("", 101.0)]
        upto = {key: (low, high) for (key, low), (_, high) in pairwise(bounds)}
        for span in row["evidence"]:
            if span["fact"].startswith("share:"):
                _, keys, words = span["fact"].split(":")
                for key in keys.split(","):
                    pct = 100 * affected.get(key, sample.fractions.get(key))
                    assert upto[words][0] - 1e-5 <= pct < upto[words][1]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (0, "little"),
        (0.0999, "little"),
        (0.1, "some"),
        (0.2, "quarter"),
        (0.29, "third"),
        (0.42, "half"),
        (0.58, "most"),
        (0.95, "nearly_all"),
        (1, "nearly_all"),
    ],
)
def test_interval_bounds_are_inclusive_below(lang, fraction, words):
    assert GRAMMAR.languages[lang].share_key(fraction) == words


@given(sample_facts(), st.integers(0, 9))
@examples(60)
def test_captions_are_deterministic_and_independent_of_other_languages(sample, seed):
    assert all_captions(sample, seed, each=4) == all_captions(sample, seed, each=4)
    french = render_captions(
        sample, load_grammar(STYLES, ("fr",), taxonomy=TAXONOMY), TAXONOMY, CaptionConfig(STYLES, seed)
    )
    assert french == [row for row in all_captions(sample, seed) if row["lang"] == "fr"]


@given(sample_facts(), st.integers(0, 9), st.integers(2, 6))
@examples(100)
def test_captions_of_a_style_are_distinct_and_the_first_is_stable(sample, seed, each):
    for lang in LANGS:
        for style in STYLES:
            rows = [row for row in all_captions(sample, seed, each) if (row["lang"], row["style"]) == (lang, style)]
            first = [row for row in all_captions(sample, seed) if (row["lang"], row["style"]) == (lang, style)]
            assert len({row["text"] for row in rows}) == len(rows) <= (1 if style == "structured" else each)
            assert rows[:1] == first


@given(sample_facts(), st.integers(0, 9))
@examples(100)
def test_captions_have_clean_punctuation_and_articles(sample, seed):
    for row in all_captions(sample, seed, each=2):
        bare = row["text"]
        for name in place_names(sample):
            bare = bare.replace(name, "X")
        assert not re.search(r"[{}\[\]]|  | [.,)]|\( |,,|\.\.|None|\bde le\b|\bde les\b|\bde el\b", bare)
        if row["style"] != "structured":
            assert bare[0].isupper() and bare.endswith(".")
        if row["lang"] == "en":
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", bare, re.IGNORECASE)
        if row["lang"] == "fr":
            assert not re.search(r"\b(de|la|le) [aeéèêiou]", bare) or re.search(r"\bde [aeéiou]\w* ?\(fr\)", bare)


@pytest.mark.parametrize(
    ("place", "phrase"),
    [
        ("Avignon", "près d'Avignon"),
        ("Le Havre", "près du Havre"),
        ("Les Ulis", "près des Ulis"),
        ("Lyon", "près de Lyon"),
        ("Castillo de Aro", "près de Castillo de Aro"),
        ("Ablain de Le Nord", "près d'Ablain de Le Nord"),
        ("Yvetot", "près d'Yvetot"),
        ("York", "près de York"),
        ("Yerres", "près d'Yerres"),
        ("Örebro", "près d'Örebro"),
        ("Ålesund", "près d'Ålesund"),
        ("Ouagadougou", "près de Ouagadougou"),
        ("Oujda", "près d'Oujda"),
        ("Hyères", "près d'Hyères"),
        ("Honfleur", "près de Honfleur"),
    ],
)
def test_french_contractions(place, phrase):
    renderer = Renderer(facts_of(place=NearestPlace({"": place}, 1, 0)), GRAMMAR.languages["fr"], TAXONOMY, "detailed")
    assert renderer.place() == [(phrase, f"place:{place}")]


@pytest.mark.parametrize(
    ("bearing_deg", "direction"),
    [(0, "north"), (22, "north"), (23, "north-east"), (90, "east"), (181, "south"), (359, "north")],
)
def test_the_direction_is_from_the_place_to_the_image(bearing_deg, direction):
    renderer = Renderer(
        facts_of(place=NearestPlace({"": "Riverton"}, 12.4, bearing_deg)), GRAMMAR.languages["en"], TAXONOMY, "detailed"
    )
    assert renderer.place()[0][0] == f"12 km {direction} of Riverton"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.3, "less than a day"),
        (1.9, "one day"),
        (2, "two days"),
        (12.7, "twelve days"),
        (59.9, "59 days"),
        (61, "about two months"),
        (500, "about 16 months"),
    ],
)
def test_time_since_an_event_is_in_words(days, words):
    fire = EventFact("f", "fire", "after", 0.5, True, "p", days, label="burned_area")
    row = render_captions(
        facts_of(["trees", "burned_area"], events=(fire,)), GRAMMAR, TAXONOMY, CaptionConfig(("detailed",), 0)
    )[0]
    assert f"{words} after a fire began" in row["text"]


def test_an_earthquake_of_two_products_is_mentioned_once():
    graded = EventFact("ems", "earthquake", "after", 0.1, True, "p", 14.2, label="earthquake_damage")
    epicentre = EventFact("usgs", "earthquake", "after", 0.0, False, "q", 14.4, distance_km=0.4, magnitude=5.6)
    sample = facts_of(["built", "earthquake_damage"], fractions={"built": 1.0}, events=(graded, epicentre))
    text = render_captions(sample, GRAMMAR, TAXONOMY, CaptionConfig(("detailed",), 0))[0]["text"]
    assert text.count("after an earthquake") == 1
    assert "14 days after an earthquake of magnitude 5.6 whose epicentre lies less than 1 km away" in text


# -- language files -------------------------------------------------------------------------------------------------


def write_portuguese(folder, **changes):
    """Write a Portuguese language file with the classes' names; some words are left Spanish."""
    words = yaml.safe_load((resource_dir("taxonomies/captions") / "es.yaml").read_text())
    class_words = {"trees": ("Árvores", "árvores"), "crops": ("Culturas", "culturas"),
        "shrub_and_scrub": ("Arbustos e Mato", "mato"), "water": ("Água", "água"), "grass": ("Erva", "prados"),
        "built": ("Construído", "áreas construídas"),
        "flooded_vegetation": ("Vegetação Inundada", "vegetação inundada"), "bare": ("Solo Nu", "solo nu"),
        "snow_and_ice": ("Neve e Gelo", "neve e gelo"),
        "flooded_area": ("Área Inundada", "terreno inundado"),
        "earthquake_damage": ("Danos Sísmicos", "danos sísmicos"),
        "burned_area": ("Área Ardida", "terra ardida")}  # fmt: skip
    words |= {
        "lang": "pt",
        "name": "Português",
        "and": " e ",
        "sensors": {"s1": "imagem de radar Sentinel-1", "s2": "imagem óptica Sentinel-2"},
        "seasons": {"winter": "no inverno", "spring": "na primavera", "summer": "no verão", "autumn": "no outono"},
        "styles": {
            "structured": [{"id": "structured", "text": "{labels}"}],
            "sentence": [{"id": "sentence-1", "text": "Uma {sensor}[ de {labels}][, {season}]."}],
        },
        "subclasses": {},
        "classes": {key: {"name": name, "phrase": phrase} for key, (name, phrase) in class_words.items()},
    }
    return text(folder / "pt.yaml", yaml.safe_dump(words | changes, allow_unicode=True, sort_keys=False))


def test_a_language_can_be_added_by_a_file(tmp_path):
    styles = ("structured", "sentence")
    grammar = load_grammar(styles, ("en", str(write_portuguese(tmp_path))), taxonomy=TAXONOMY)
    rows = render_captions(facts_of(["water", "snow_and_ice"]), grammar, TAXONOMY, CaptionConfig(styles, 0))
    assert [row["text"] for row in rows if row["lang"] == "pt"] == [
        "água. neve e gelo",
        "Uma imagem óptica Sentinel-2 de água e neve e gelo, no verão.",
    ]
    words = build_lexicon(grammar.languages["pt"], TAXONOMY, "pt")
    assert all(words.find_labels(row["text"]) == {"water", "snow_and_ice"} for row in rows if row["lang"] == "pt")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"classes": {}}, "classes.trees.name"),
        ({"classes": {"trees": {"name": "Árvores"}}}, "classes.trees.phrase"),
        ({"events": {}}, "events.earthquake"),
        ({"months": ["janeiro"]}, "months"),
        ({"shares": {"all": LATE}}, "shares"),
        ({"subclasses": {"corine/pastures": "pradeiras", "worldcover/mangroves": "Pradeiras"}},
            "subclasses.worldcover/mangroves"),
        ({"subclasses": {"corine/pastures": "água"}}, "classes.water.name"),
        ({"moons": []}, "moons"),
    ],
)  # fmt: skip
def test_incomplete_or_ambiguous_languages_are_rejected(tmp_path, changes, key):
    path, styles = write_portuguese(tmp_path, **changes), ("structured", "sentence")
    with pytest.raises(InputError) as caught:
        load_grammar(styles, ("es", str(path)), taxonomy=TAXONOMY, types=sorted(TYPES), crosswalks=(CORINE, WORLDCOVER))
    assert (caught.value.file, caught.value.key) == (str(path), key)


@pytest.mark.parametrize(("key", "phrase"), [("corine/vineyards", "vineyards"), ("flood", "flood")])
def test_a_class_may_have_words_of_a_source_or_event_type_that_the_recipe_lacks(key, phrase):
    entry = TAXONOMY.classes["crops"].model_copy(update={"phrase": {"en": phrase}})
    taxonomy = TAXONOMY.model_copy(update={"classes": {**TAXONOMY.classes, "crops": entry}})
    load_grammar(STYLES, taxonomy=taxonomy, crosswalks=(WORLDCOVER,))
    with pytest.raises(InputError) as caught:
        load_grammar(STYLES, taxonomy=taxonomy, types=["flood"], crosswalks=(CORINE,))
    assert str(caught.value.key).removesuffix(".noun").endswith(key)


def test_duplicate_languages_are_rejected(tmp_path):
    path = write_portuguese(tmp_path, lang="es")
    with pytest.raises(InputError) as caught:
        load_grammar(("sentence",), ("es", str(path)), taxonomy=TAXONOMY)
    assert (caught.value.key, caught.value.value) == ("languages", "es")


def test_an_unknown_language_is_rejected():
    with pytest.raises(UnknownName) as caught:
        load_grammar(STYLES, ("frr",), taxonomy=TAXONOMY)
    assert "frr" in str(caught.value) and "'fr'" in (caught.value.remedy or "")


@pytest.mark.parametrize("lang", LANGS)
def test_all_languages_have_the_same_keys(lang):
    language, english = GRAMMAR.languages[lang], GRAMMAR.languages["en"]
    assert (
        language.subclasses.keys() == english.subclasses.keys()
        and language.events.keys() == english.events.keys() == TYPES.keys()
    )
    assert [(key, words.from_pct) for key, words in language.shares.items()] == [
        (key, words.from_pct) for key, words in english.shares.items()
    ]
    assert len(set(language.subclasses.values())) == len(language.subclasses), "two subclasses have the same words"


def test_subclasses_exist_in_crosswalks():
    known = {
        f"{name}/{entry.key}" for name in ("corine", "worldcover") for entry in load_crosswalk(name).classes.values()
    }
    assert set(GRAMMAR.languages["en"].subclasses) <= known


def load_crosswalk(name):
    from landmark.domain.taxonomy import Crosswalk

    return load_model(Crosswalk, "taxonomies", name)


def test_seasons_of_captions_are_those_of_the_image():
    for month in range(1, 13):
        moment = dt.datetime(2021, month, 15, tzinfo=dt.UTC)
        row = render_captions(facts_of(month=month), GRAMMAR, TAXONOMY, CaptionConfig(("sentence",), 0))[0]
        assert f"season:{season_at(moment, 45.0)}" in {span["fact"] for span in row["evidence"]}
