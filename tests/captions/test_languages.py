"""Every language and style, held against the facts: nothing said that is not so, and each text read back."""

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
from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model, resource_dir
from landmark.domain.event import EventFact
from tests.captions.scenes import GRAMMAR, LANGS, LEXICONS, STYLES, TAXONOMY, TYPES, every, names, scene, scenes
from tests.parts import examples, text

LATE = {"from": 5, "class": "{class}", "alone": "x", "part": "y"}
NOUNS = {lang: {kind.name[lang] for kind in TYPES.values()} for lang in LANGS}


def facts(where):
    """What a caption of a scene may state."""
    known = {f"label:{key}" for key in where.labels} | {f"sensor:{where.sensor}", f"season:{where.season}"}
    known |= {f"finer:{finer}" for key, (finer, _) in where.finer.items() if key in where.labels}
    return known | {f"happening:{fact.type}" for fact in where.told}


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_no_caption_of_any_language_names_a_concept_absent_from_its_facts(where, seed):
    for row in every(where, seed, each=3):
        stated = LEXICONS[row["lang"]].find_facts(row["text"], names(where))
        assert {one.fact for one in stated} <= facts(where)


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_every_caption_reads_back_into_its_label_set(where, seed):
    rows = every(where, seed, each=3)
    assert {row["lang"] for row in rows} == set(LANGS)
    for row in rows:
        assert LEXICONS[row["lang"]].find_labels(row["text"], names(where)) == set(where.labels)


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_an_event_is_named_where_the_image_carries_it_and_nowhere_else(where, seed):
    sayable = {
        fact.type
        for fact in where.events
        if fact.label or (fact.distance_km is not None and fact.phase in ("during", "after"))
    }
    for row in every(where, seed):
        text = row["text"]
        for name in names(where):
            text = text.replace(name, "")
        for kind, words in TYPES.items():
            # `earthquake` stands in its class's name, too.
            mentioned = re.search(rf"\b{words.name[row['lang']]}\b", text)
            assert not mentioned or kind in sayable
            assert mentioned or row["style"] != "detailed" or kind not in {fact.type for fact in where.told}


@given(scenes(), st.integers(0, 9))
@examples(100)
def test_an_image_before_its_event_carries_no_word_of_it(where, seed):
    before = replace(
        where,
        labels=tuple(key for key in where.labels if not TAXONOMY.classes[key].event),
        events=tuple(replace(fact, phase="before", days=-abs(fact.days), label=None) for fact in where.events),
        place=None,
    )
    for row in every(before, seed, each=2):
        assert not any(re.search(rf"\b{noun}\b", row["text"].lower()) for noun in NOUNS[row["lang"]])
        assert not re.search(
            r"flooded (?!veg)|burn|damage|brûl|sismique|sous les eaux|quemad|daños", row["text"].lower()
        )


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_evidence_spans_are_exact(where, seed):
    for row in every(where, seed, each=2):
        end, words = 0, LEXICONS[row["lang"]]
        for span in row["evidence"]:
            assert end <= span["start"] < span["end"] <= len(row["text"])
            said, end = row["text"][span["start"] : span["end"]], span["end"]
            assert said == said.strip()
            kind, _, value = span["fact"].partition(":")
            if kind in ("label", "sensor", "season", "finer"):
                assert {one.fact for one in words.find_facts(said)} == {span["fact"]}
            if kind == "place":
                assert value.removeprefix("Le ").removeprefix("Les ")[1:] in said
            if kind == "date":
                assert value == f"{where.moment:%Y-%m}" and str(where.moment.year) in said
        stated = {one.fact for one in words.find_facts(row["text"], names(where)) if not one.fact.startswith("happening")}
        assert stated <= {span["fact"] for span in row["evidence"]}


@given(scenes(), st.integers(0, 9))
@examples(100)
def test_shares_in_words_are_those_of_the_stated_intervals(where, seed):
    affected = {fact.label: fact.fraction for fact in reversed(where.told) if fact.label}
    for row in every(where, seed):
        bounds = [(key, one.from_pct) for key, one in GRAMMAR.languages[row["lang"]].shares.items()] + [("", 101.0)]
        upto = {key: (low, high) for (key, low), (_, high) in pairwise(bounds)}
        for span in row["evidence"]:
            if span["fact"].startswith("share:"):
                _, keys, words = span["fact"].split(":")
                for key in keys.split(","):
                    pct = 100 * affected.get(key, where.shares.get(key))
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
def test_a_share_at_a_bound_takes_the_larger_words(lang, fraction, words):
    assert GRAMMAR.languages[lang].share_key(fraction) == words


@given(scenes(), st.integers(0, 9))
@examples(60)
def test_words_follow_from_facts_id_and_seed_alone(where, seed):
    assert every(where, seed, each=4) == every(where, seed, each=4)
    one = render_captions(where, load_grammar(STYLES, ("fr",), taxonomy=TAXONOMY), TAXONOMY, CaptionConfig(STYLES, seed))
    assert one == [row for row in every(where, seed) if row["lang"] == "fr"]


@given(scenes(), st.integers(0, 9), st.integers(2, 6))
@examples(100)
def test_several_captions_of_a_style_differ_and_begin_with_the_one(where, seed, each):
    for lang in LANGS:
        for style in STYLES:
            rows = [row for row in every(where, seed, each) if (row["lang"], row["style"]) == (lang, style)]
            first = [row for row in every(where, seed) if (row["lang"], row["style"]) == (lang, style)]
            assert len({row["text"] for row in rows}) == len(rows) <= (1 if style == "structured" else each)
            assert rows[:1] == first


@given(scenes(), st.integers(0, 9))
@examples(100)
def test_a_text_is_cleanly_set(where, seed):
    for row in every(where, seed, each=2):
        bare = row["text"]
        for name in names(where):
            bare = bare.replace(name, "X")
        assert not re.search(r"[{}\[\]]|  | [.,)]|\( |,,|\.\.|None|\bde le\b|\bde les\b|\bde el\b", bare)
        if row["style"] != "structured":
            assert bare[0].isupper() and bare.endswith(".")
        if row["lang"] == "en":
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", bare, re.IGNORECASE)
        if row["lang"] == "fr":
            assert not re.search(r"\b(de|la|le) [aeéèêiou]", bare) or re.search(r"\bde [aeéiou]\w* ?\(fr\)", bare)


@pytest.mark.parametrize(
    ("place", "said"),
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
def test_french_joins_de_with_what_follows(place, said):
    telling = Renderer(scene(place=NearestPlace({"": place}, 1, 0)), GRAMMAR.languages["fr"], TAXONOMY, "detailed")
    assert telling.place() == [(said, f"place:{place}")]


@pytest.mark.parametrize(
    ("bearing_deg", "wind"),
    [(0, "north"), (22, "north"), (23, "north-east"), (90, "east"), (181, "south"), (359, "north")],
)
def test_the_wind_goes_from_the_place_to_the_image(bearing_deg, wind):
    telling = Renderer(
        scene(place=NearestPlace({"": "Riverton"}, 12.4, bearing_deg)), GRAMMAR.languages["en"], TAXONOMY, "detailed"
    )
    assert telling.place()[0][0] == f"12 km {wind} of Riverton"


@pytest.mark.parametrize(
    ("days", "said"),
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
def test_time_since_an_event_is_said_in_words(days, said):
    burnt = EventFact("f", "fire", "after", 0.5, True, "p", days, label="burned_area")
    row = render_captions(scene(["trees", "burned_area"], events=(burnt,)), GRAMMAR, TAXONOMY, CaptionConfig(("detailed",), 0))[0]
    assert f"{said} after a fire began" in row["text"]


def test_one_earthquake_that_two_products_tell_is_said_once():
    graded = EventFact("ems", "earthquake", "after", 0.1, True, "p", 14.2, label="earthquake_damage")
    felt = EventFact("usgs", "earthquake", "after", 0.0, False, "q", 14.4, distance_km=0.4, magnitude=5.6)
    where = scene(["built", "earthquake_damage"], shares={"built": 1.0}, events=(graded, felt))
    text = render_captions(where, GRAMMAR, TAXONOMY, CaptionConfig(("detailed",), 0))[0]["text"]
    assert text.count("after an earthquake") == 1
    assert "14 days after an earthquake of magnitude 5.6 whose epicentre lies less than 1 km away" in text


# -- the door ----------------------------------------------------------------------------------------------------------


def fourth(folder, **changes):
    """Portuguese as one file, which also brings the classes' names; some words are left Spanish."""
    words = yaml.safe_load((resource_dir("taxonomies/captions") / "es.yaml").read_text())
    said = {"trees": ("Árvores", "árvores"), "crops": ("Culturas", "culturas"),
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
        "finer": {},
        "classes": {key: {"name": name, "phrase": phrase} for key, (name, phrase) in said.items()},
    }
    return text(folder / "pt.yaml", yaml.safe_dump(words | changes, allow_unicode=True, sort_keys=False))


def test_a_fourth_language_is_one_file(tmp_path):
    styles = ("structured", "sentence")
    grammar = load_grammar(styles, ("en", str(fourth(tmp_path))), taxonomy=TAXONOMY)
    rows = render_captions(scene(["water", "snow_and_ice"]), grammar, TAXONOMY, CaptionConfig(styles, 0))
    assert [row["text"] for row in rows if row["lang"] == "pt"] == [
        "água. neve e gelo",
        "Uma imagem óptica Sentinel-2 de água e neve e gelo, no verão.",
    ]
    words = build_lexicon(grammar.languages["pt"], TAXONOMY, "pt")
    assert all(words.find_labels(row["text"]) == {"water", "snow_and_ice"} for row in rows if row["lang"] == "pt")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"classes": {}}, r"pt\.yaml: classes\.trees\.name: is missing: taxonomy landmark has none in 'pt'; add"),
        ({"classes": {"trees": {"name": "Árvores"}}}, r"pt\.yaml: classes\.trees\.phrase: is missing"),
        ({"events": {}}, r"pt\.yaml: events\.earthquake: is missing, and there are such events; add its words"),
        ({"months": ["janeiro"]}, r"pt\.yaml: `months`"),
        ({"shares": {"all": LATE}}, r"pt\.yaml: `shares`: shares must begin at 0"),
        ({"lang": "es"}, "languages: 'es' stands twice"),
        (
            {"finer": {"corine/pastures": "pradeiras", "worldcover/mangroves": "Pradeiras"}},
            r"pt\.yaml: finer\.worldcover/mangroves: 'Pradeiras' also is `finer\.corine/pastures`; give each",
        ),
        (
            {"finer": {"corine/pastures": "água"}},
            r"pt\.yaml: classes\.water\.name: 'Água' also is `finer\.corine/pastures`",
        ),
        ({"moons": []}, r"pt\.yaml: unknown key `moons`; did you mean `months`\?"),
    ],
)  # fmt: skip
def test_a_language_that_lacks_words_is_refused_by_file_key_and_remedy(tmp_path, changes, what):
    with pytest.raises(InputError, match=what):
        load_grammar(
            ("structured", "sentence"), ("es", str(fourth(tmp_path, **changes))), taxonomy=TAXONOMY, types=sorted(TYPES)
        )


def test_a_language_nobody_wrote_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'frr'\. Did you mean 'fr'\? Known: en, es, fr"):
        load_grammar(STYLES, ("frr",), taxonomy=TAXONOMY)


@pytest.mark.parametrize("lang", LANGS)
def test_all_languages_say_the_same_things(lang):
    mine, english = GRAMMAR.languages[lang], GRAMMAR.languages["en"]
    assert mine.finer.keys() == english.finer.keys() and mine.events.keys() == english.events.keys() == TYPES.keys()
    assert [(key, one.from_pct) for key, one in mine.shares.items()] == [
        (key, one.from_pct) for key, one in english.shares.items()
    ]
    assert len(set(mine.finer.values())) == len(mine.finer), "two finer classes share their words"


def test_finer_words_are_of_classes_that_sources_have():
    known = {f"{name}/{one.key}" for name in ("corine", "worldcover") for one in load_crosswalk(name).classes.values()}
    assert set(GRAMMAR.languages["en"].finer) <= known


def load_crosswalk(name):
    from landmark.domain.taxonomy import Crosswalk

    return load_model(Crosswalk, "taxonomies", name)


def test_seasons_of_captions_are_those_of_the_image():
    for month in range(1, 13):
        moment = dt.datetime(2021, month, 15, tzinfo=dt.UTC)
        row = render_captions(scene(month=month), GRAMMAR, TAXONOMY, CaptionConfig(("sentence",), 0))[0]
        assert f"season:{season_at(moment, 45.0)}" in {span["fact"] for span in row["evidence"]}
