"""Questions are answered by facts; a hard negative is false in one fact and true in all others."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.negatives import render_hard_negatives
from landmark.captions.questions import render_questions
from landmark.captions.render import CaptionConfig
from landmark.domain.event import EventFact
from tests.captions.scenes import GRAMMAR, LANGS, LEXICONS, STYLES, TAXONOMY, names, scene, scenes
from tests.parts import examples

YES_NO = {"en": ("yes", "no"), "fr": ("oui", "non"), "es": ("sí", "no")}


def asked(where, count=6, seed=0):
    return render_questions(where, GRAMMAR, TAXONOMY, CaptionConfig(STYLES, seed, questions=count))


def lies(where, count=6, seed=0, styles=STYLES):
    return render_hard_negatives(where, GRAMMAR, TAXONOMY, CaptionConfig(styles, seed, hard_negatives=count))


def answer_of(row, where):
    """What the facts answer, read from the question's words alone."""
    stated = [
        one.fact.removeprefix("label:")
        for one in LEXICONS[row["lang"]].find_facts(row["question"])
        if one.fact.startswith("label:")
    ]
    yes, no = YES_NO[row["lang"]]
    if row["kind"] == "presence":
        return yes if stated[0] in where.labels else no
    if row["kind"] == "comparison":
        return yes if where.shares[stated[0]] > where.shares[stated[1]] else no
    affected = {fact.label: fact.fraction for fact in reversed(where.told) if fact.label}
    language = GRAMMAR.languages[row["lang"]]
    return language.shares[language.share_key(affected.get(stated[0], where.shares.get(stated[0])))].alone


@given(scenes(), st.integers(0, 9))
@examples(200)
def test_every_answer_is_what_the_facts_say(where, seed):
    for row in asked(where, seed=seed):
        assert row["answer"] == answer_of(row, where)
        assert row["evidence"]


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_what_is_asked_for_and_not_there_is_on_no_pixel(where, seed):
    for row in asked(where, seed=seed):
        if row["kind"] == "presence" and row["answer"] == YES_NO[row["lang"]][1]:
            (fact,) = row["evidence"]
            kind, key = fact.split(":")
            assert key not in where.shares and key not in where.labels
            assert kind == ("looked_for" if TAXONOMY.classes[key].event else "absent")


@given(scenes(), st.integers(0, 9))
@examples(60)
def test_all_languages_are_asked_the_same_once(where, seed):
    rows = asked(where, seed=seed)
    assert rows == asked(where, seed=seed)
    per_lang = {lang: [row for row in rows if row["lang"] == lang] for lang in LANGS}
    assert len({len(each) for each in per_lang.values()}) == 1 and len(per_lang["en"]) <= 6
    assert all(len({row["question"] for row in each}) == len(each) for each in per_lang.values())
    for english, other in zip(per_lang["en"], per_lang["fr"], strict=True):
        assert (english["kind"], english["evidence"][0]) == (other["kind"], other["evidence"][0])


def test_yes_and_no_are_drawn_as_often():
    shares = {"trees": 0.5, "crops": 0.3, "water": 0.2}
    answers = Counter()
    for number in range(400):
        where = scene(tuple(shares), id=f"id{number}", shares=shares, absent=("bare", "grass", "built"))
        answers.update(
            (row["kind"], row["answer"]) for row in asked(where, 2) if row["lang"] == "en" and row["kind"] != "share"
        )
    for kind in ("presence", "comparison"):
        assert 0.42 < answers[kind, "yes"] / (answers[kind, "yes"] + answers[kind, "no"]) < 0.58


def test_what_could_be_answered_in_one_way_only_is_not_asked():
    assert {row["kind"] for row in asked(scene(["trees"], shares={"trees": 1.0}))} == {"share"}
    assert asked(scene([], shares={})) == [] == asked(scene(["trees"], shares={"trees": 1.0}), 0)


def test_a_flood_is_asked_for_where_somebody_looked_for_it():
    shares = {"trees": 0.6, "crops": 0.4}
    looked = scene(tuple(shares), shares=shares, looked_for=("flooded_area",))
    rows = [
        row for seed in range(20) for row in asked(looked, 4, seed) if row["evidence"] == ["looked_for:flooded_area"]
    ]
    assert {(row["question"], row["answer"]) for row in rows if row["lang"] == "en"} == {
        ("Does this image show flooded land?", "no")
    }
    before = scene(
        tuple(shares), shares=shares, absent=("bare",), events=(EventFact("f", "flood", "before", 0.4, True, "p", -3),)
    )
    assert not any("flood" in row["question"] for seed in range(20) for row in asked(before, 6, seed))


@pytest.mark.parametrize(
    ("lang", "kind", "question", "answer"),
    [
        ("en", "presence", "Does this image show water?", "no"),
        ("fr", "presence", "Cette image montre-t-elle de l'eau ?", "non"),
        ("es", "presence", "¿Muestra esta imagen agua?", "no"),
        ("en", "comparison", "Is more of this image covered by trees than by crops?", "yes"),
        ("fr", "comparison", "Cette image montre-t-elle une plus grande surface d'arbres que de cultures ?", "oui"),
        ("es", "comparison", "¿Hay en esta imagen más superficie de árboles que de cultivos?", "sí"),
        ("en", "share", "How much of this image is covered by crops?", "about a quarter"),
        ("fr", "share", "Quelle part de cette image est couverte de cultures ?", "environ un quart"),
        ("es", "share", "¿Qué parte de esta imagen está cubierta de cultivos?", "aproximadamente una cuarta parte"),
    ],
)
def test_questions_read_well(lang, kind, question, answer):
    where = scene(("trees", "crops"), shares={"trees": 0.75, "crops": 0.25}, absent=("water",))
    rows = {
        (row["lang"], row["kind"], row["question"], row["answer"])
        for seed in range(20)
        for row in asked(where, 8, seed)
    }
    assert (lang, kind, question, answer) in rows


# -- hard negatives ----------------------------------------------------------------------------------------------------


@given(scenes(), st.integers(0, 9))
@examples(200)
def test_a_hard_negative_is_false_in_one_fact_and_true_in_all_others(where, seed):
    for row in lies(where, seed=seed):
        stated = {one.fact for one in LEXICONS[row["lang"]].find_facts(row["text"], names(where))}
        true = {f"label:{key}" for key in where.labels} | {f"sensor:{where.sensor}", f"season:{where.season}"}
        true |= {f"finer:{finer}" for finer, _ in where.finer.values()} | {
            f"happening:{fact.type}" for fact in where.told
        }
        kind = row["falsified"].split(":")[0]
        assert stated - true == ({row["replacement"]} if kind in ("label", "season") else set())
        assert row["falsified"] in true or kind in ("share", "event")
        assert kind not in ("label", "season") or row["falsified"] not in stated


@given(scenes(), st.integers(0, 9))
@examples(150)
def test_what_a_hard_negative_claims_is_contradicted_by_the_facts(where, seed):
    for row in lies(where, seed=seed):
        kind, key, *rest = row["replacement"].split(":")
        if kind == "label":
            assert key in where.absent and key not in where.shares and not TAXONOMY.classes[key].event
        elif kind == "season":
            assert key != where.season
        elif kind == "share":
            language = GRAMMAR.languages[row["lang"]]
            order = list(language.shares)
            assert abs(order.index(rest[0]) - order.index(language.share_key(where.shares[key]))) >= 2
            assert rest[0] != row["falsified"].split(":")[2]
        else:
            (fact,) = [fact for fact in where.told if fact.id == key]
            assert (fact.phase, rest) == ("after", ["before"])


@given(scenes(), st.integers(0, 9))
@examples(100)
def test_no_two_hard_negatives_of_a_language_are_one_and_none_is_the_caption(where, seed):
    from landmark.captions.render import render_captions

    true = {row["text"] for row in render_captions(where, GRAMMAR, TAXONOMY, CaptionConfig(STYLES, seed))}
    rows = lies(where, seed=seed)
    assert rows == lies(where, seed=seed)
    for lang in LANGS:
        texts = [row["text"] for row in rows if row["lang"] == lang]
        assert len(set(texts)) == len(texts) <= 6 and not true & set(texts)


@pytest.mark.parametrize(("kind", "before"), [("fire", 0), ("flood", 1)])
def test_an_image_before_the_next_fire_is_no_lie(kind, before):
    burnt = EventFact("a", "fire", "after", 0.3, True, "p", 20, label="burned_area")
    coming = EventFact("b", kind, "before", 0.3, True, "p", -20)
    where = scene(("trees", "burned_area"), shares={"trees": 1.0}, events=(burnt, coming))
    assert len({row["falsified"] for row in lies(where, 20) if row["falsified"].startswith("event:")}) == before


def test_before_and_after_change_places():
    burnt = EventFact("f", "fire", "after", 0.3, True, "p", 6, label="burned_area")
    where = scene(("trees", "burned_area"), shares={"trees": 1.0}, events=(burnt,))
    texts = {row["lang"]: row["text"] for row in lies(where, 20) if row["falsified"] == "event:f:after"}
    assert "six days before a fire began" in texts["en"] and "burned" not in texts["en"]
    assert "six jours avant le début d'un incendie" in texts["fr"] and "brûlé" not in texts["fr"]
    assert "seis días antes de que empezara un incendio" in texts["es"] and "quemada" not in texts["es"]
