"""Questions are answered by facts; a hard negative is false in one fact only."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.captions.negatives import render_hard_negatives
from landmark.captions.questions import render_questions
from landmark.captions.render import CaptionConfig, render_captions
from landmark.domain.event import EventFact
from tests.captions.samples import GRAMMAR, LANGS, LEXICONS, STYLES, TAXONOMY, facts_of, place_names, sample_facts
from tests.parts import examples

YES_NO = {"en": ("yes", "no"), "fr": ("oui", "non"), "es": ("sí", "no")}


def questions(sample, count=6, seed=0):
    return render_questions(sample, GRAMMAR, TAXONOMY, CaptionConfig(STYLES, seed, questions=count))


def negatives(sample, count=6, seed=0, styles=STYLES):
    return render_hard_negatives(sample, GRAMMAR, TAXONOMY, CaptionConfig(styles, seed, hard_negatives=count))


def answer_of(row, sample):
    """Answer by the facts, given only the text of the question."""
    stated = [
        match.fact.removeprefix("label:")
        for match in LEXICONS[row["lang"]].find_facts(row["question"])
        if match.fact.startswith("label:")
    ]
    yes, no = YES_NO[row["lang"]]
    if row["kind"] == "presence":
        return yes if stated[0] in sample.labels else no
    if row["kind"] == "comparison":
        return yes if sample.fractions[stated[0]] > sample.fractions[stated[1]] else no
    affected = {fact.label: fact.fraction for fact in reversed(sample.mentionable_events) if fact.label}
    language = GRAMMAR.languages[row["lang"]]
    return language.shares[language.share_key(affected.get(stated[0], sample.fractions.get(stated[0])))].alone


@given(sample_facts(), st.integers(0, 9))
@examples(200)
def test_answers_agree_with_the_facts(sample, seed):
    for row in questions(sample, seed=seed):
        assert row["answer"] == answer_of(row, sample)
        assert row["evidence"]


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_a_class_that_is_denied_has_no_pixel(sample, seed):
    for row in questions(sample, seed=seed):
        if row["kind"] == "presence" and row["answer"] == YES_NO[row["lang"]][1]:
            (fact,) = row["evidence"]
            kind, key = fact.split(":")
            assert key not in sample.fractions and key not in sample.labels
            assert kind == ("looked_for" if TAXONOMY.classes[key].event else "absent")


@given(sample_facts(), st.integers(0, 9))
@examples(60)
def test_languages_get_the_same_distinct_questions(sample, seed):
    rows = questions(sample, seed=seed)
    assert rows == questions(sample, seed=seed)
    per_lang = {lang: [row for row in rows if row["lang"] == lang] for lang in LANGS}
    assert len({len(each) for each in per_lang.values()}) == 1 and len(per_lang["en"]) <= 6
    assert all(len({row["question"] for row in each}) == len(each) for each in per_lang.values())
    for english, french in zip(per_lang["en"], per_lang["fr"], strict=True):
        assert (english["kind"], english["evidence"][0]) == (french["kind"], french["evidence"][0])


def test_yes_and_no_are_equally_frequent():
    shares = {"trees": 0.5, "crops": 0.3, "water": 0.2}
    answers = Counter()
    for number in range(400):
        sample = facts_of(tuple(shares), id=f"id{number}", fractions=shares, absent_classes=("bare", "grass", "built"))
        answers.update(
            (row["kind"], row["answer"])
            for row in questions(sample, 2)
            if row["lang"] == "en" and row["kind"] != "share"
        )
    for kind in ("presence", "comparison"):
        assert 0.42 < answers[kind, "yes"] / (answers[kind, "yes"] + answers[kind, "no"]) < 0.58


def test_kinds_with_a_single_possible_answer_are_skipped():
    assert {row["kind"] for row in questions(facts_of(["trees"], fractions={"trees": 1.0}))} == {"share"}
    assert questions(facts_of([], fractions={})) == [] == questions(facts_of(["trees"], fractions={"trees": 1.0}), 0)


def test_absent_event_classes_have_questions():
    shares = {"trees": 0.6, "crops": 0.4}
    surveyed = facts_of(tuple(shares), fractions=shares, absent_event_classes=("flooded_area",))
    rows = [
        row
        for seed in range(20)
        for row in questions(surveyed, 4, seed)
        if row["evidence"] == ["looked_for:flooded_area"]
    ]
    assert {(row["question"], row["answer"]) for row in rows if row["lang"] == "en"} == {
        ("Does this image show flooded land?", "no")
    }
    before = facts_of(
        tuple(shares),
        fractions=shares,
        absent_classes=("bare",),
        events=(EventFact("f", "flood", "before", 0.4, True, "p", -3),),
    )
    assert not any("flood" in row["question"] for seed in range(20) for row in questions(before, 6, seed))


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
def test_texts_of_questions(lang, kind, question, answer):
    sample = facts_of(("trees", "crops"), fractions={"trees": 0.75, "crops": 0.25}, absent_classes=("water",))
    rows = {
        (row["lang"], row["kind"], row["question"], row["answer"])
        for seed in range(20)
        for row in questions(sample, 8, seed)
    }
    assert (lang, kind, question, answer) in rows


# -- hard negatives ----------------------------------------------------------------------------------------------------


@given(sample_facts(), st.integers(0, 9))
@examples(200)
def test_hard_negatives_are_false_in_a_single_fact(sample, seed):
    for row in negatives(sample, seed=seed):
        stated = {match.fact for match in LEXICONS[row["lang"]].find_facts(row["text"], place_names(sample))}
        true = {f"label:{key}" for key in sample.labels} | {f"sensor:{sample.sensor}", f"season:{sample.season}"}
        true |= {f"finer:{subclass}" for subclass, _ in sample.subclasses.values()} | {
            f"event_type:{fact.type}" for fact in sample.mentionable_events
        }
        kind = row["falsified"].split(":")[0]
        assert stated - true == ({row["replacement"]} if kind in ("label", "season") else set())
        assert row["falsified"] in true or kind in ("share", "event")
        assert kind not in ("label", "season") or row["falsified"] not in stated


@given(sample_facts(), st.integers(0, 9))
@examples(150)
def test_replacements_contradict_the_facts(sample, seed):
    for row in negatives(sample, seed=seed):
        kind, key, *rest = row["replacement"].split(":")
        if kind == "label":
            assert key in sample.absent_classes and key not in sample.fractions and not TAXONOMY.classes[key].event
        elif kind == "season":
            assert key != sample.season
        elif kind == "share":
            language = GRAMMAR.languages[row["lang"]]
            order = list(language.shares)
            assert abs(order.index(rest[0]) - order.index(language.share_key(sample.fractions[key]))) >= 2
            assert rest[0] != row["falsified"].split(":")[2]
        else:
            (fact,) = [fact for fact in sample.mentionable_events if fact.id == key]
            assert (fact.phase, rest) == ("after", ["before"])


@given(sample_facts(), st.integers(0, 9))
@examples(100)
def test_hard_negatives_are_distinct_and_differ_from_the_captions(sample, seed):
    true = {row["text"] for row in render_captions(sample, GRAMMAR, TAXONOMY, CaptionConfig(STYLES, seed))}
    rows = negatives(sample, seed=seed)
    assert rows == negatives(sample, seed=seed)
    for lang in LANGS:
        texts = [row["text"] for row in rows if row["lang"] == lang]
        assert len(set(texts)) == len(texts) <= 6 and not true & set(texts)


@pytest.mark.parametrize(("kind", "before"), [("fire", 0), ("flood", 1)])
def test_before_is_no_replacement_if_another_event_of_the_type_follows(kind, before):
    fire = EventFact("a", "fire", "after", 0.3, True, "p", 20, label="burned_area")
    coming = EventFact("b", kind, "before", 0.3, True, "p", -20)
    sample = facts_of(("trees", "burned_area"), fractions={"trees": 1.0}, events=(fire, coming))
    assert len({row["falsified"] for row in negatives(sample, 20) if row["falsified"].startswith("event:")}) == before


def test_texts_of_hard_negatives_of_events():
    fire = EventFact("f", "fire", "after", 0.3, True, "p", 6, label="burned_area")
    sample = facts_of(("trees", "burned_area"), fractions={"trees": 1.0}, events=(fire,))
    texts = {row["lang"]: row["text"] for row in negatives(sample, 20) if row["falsified"] == "event:f:after"}
    assert "six days before a fire began" in texts["en"] and "burned" not in texts["en"]
    assert "six jours avant le début d'un incendie" in texts["fr"] and "brûlé" not in texts["fr"]
    assert "seis días antes de que empezara un incendio" in texts["es"] and "quemada" not in texts["es"]
