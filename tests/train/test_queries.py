"""Queries in other languages and synonyms become the class names that a model was trained on."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.yaml_files import load_model
from landmark.domain.taxonomy import Taxonomy
from landmark.train.queries import canonical_queries
from tests.parts import examples

TAXONOMY: Taxonomy = load_model(Taxonomy, "taxonomies", "landmark")
PHRASES = [
    (phrase, key)
    for key, entry in TAXONOMY.classes.items()
    for phrase in (
        *entry.name.values(),
        *entry.phrase.values(),
        *(phrase for phrases in entry.synonyms.values() for phrase in phrases),
    )
]


@pytest.mark.parametrize(
    ("query", "lang", "expected"),
    [
        ("forêt", "en", "trees"),
        ("Foret et PLANS D'EAU", "en", "trees et water"),
        ("de l\u2019eau près de l'eau", "en", "water près water"),
        ("built-up  area. shrubs", "en", "built. shrub and scrub"),
        ("flooded vegetation by a flooded area", "en", "flooded vegetation by a flooded area"),
        ("Nieve y hielo", "fr", "neige et glace"),
        ("trees. water", "es", "árboles. agua"),
        ("grassy waterways, treeshrubs", "en", "grassy waterways, treeshrubs"),
        ("sous-bois, eau-de-vie - eau", "en", "sous-bois, eau-de-vie - water"),
        ("Ein Vulkan am Äquator", "en", "Ein Vulkan am Äquator"),
        ("", "en", ""),
    ],
)
def test_words_of_classes_become_their_names(query: str, lang: str, expected: str) -> None:
    decomposed = unicodedata.normalize("NFD", query)
    assert canonical_queries([query, decomposed], TAXONOMY, lang) in ([expected] * 2, [expected, decomposed])


@pytest.mark.parametrize("lang", TAXONOMY.languages)
def test_every_phrase_becomes_the_name_of_the_class(lang: str) -> None:
    names = [TAXONOMY.classes[key].name[lang].lower() for _, key in PHRASES]
    assert canonical_queries([phrase for phrase, _ in PHRASES], TAXONOMY, lang) == names
    assert canonical_queries([phrase.upper() for phrase, _ in PHRASES], TAXONOMY, lang) == names


@pytest.mark.parametrize("lang", TAXONOMY.languages)
def test_models_of_sentences_get_the_phrases_of_sentences(lang: str) -> None:
    phrases = [TAXONOMY.classes[key].phrase[lang] for _, key in PHRASES]
    assert canonical_queries([phrase for phrase, _ in PHRASES], TAXONOMY, lang, "sentence") == phrases


@given(st.text(max_size=40))
@examples(40)
def test_canonical_queries_are_canonical(text: str) -> None:
    queries = canonical_queries([text, f"{text} forêts eau"], TAXONOMY)
    assert canonical_queries(queries, TAXONOMY) == queries


def test_a_name_in_the_language_of_the_captions_wins() -> None:
    """Also over a class that comes first, and has the word as its name in another language."""
    crops, built = (TAXONOMY.classes[key] for key in ("crops", "built"))
    crops = crops.model_copy(update={"name": {**crops.name, "fr": "Built"}})
    taxonomy = TAXONOMY.model_copy(update={"classes": {"crops": crops, "built": built}})
    assert canonical_queries(["Built", "crops"], taxonomy) == ["built", "crops"]
    assert canonical_queries(["Built", "crops"], taxonomy, "fr") == ["built", "built"]
