"""The languages of a corpus, found by name or path, and refused where they lack words or words would mean two facts."""

from collections.abc import Iterable, Sequence
from itertools import chain

from landmark.captions.language import Language
from landmark.captions.parse import said_twice
from landmark.core.errors import InputError
from landmark.core.yaml_files import Resources, StrictModel, available, load_model
from landmark.domain.taxonomy import Taxonomy

KIND = "taxonomies/captions"
_SHIPPED = Resources()


class Grammar(StrictModel):
    """The languages of a corpus, in the recipe's order."""

    languages: dict[str, Language]


def load_grammar(
    styles: Sequence[str], languages: Sequence[str] = ("en",), *, taxonomy: Taxonomy, types: Iterable[str] = (), resources: Resources = _SHIPPED
) -> Grammar:
    """The languages a recipe names (of a file in taxonomies/captions/, or a path), able to say all it asks for.

    Raises:
        InputError: no such language, style, class or kind of event in its file, or words of two facts; names file, key
            and remedy.
    """
    spoken: dict[str, Language] = {}
    for name in languages:
        language = resources.load(Language, KIND, name)
        if language.lang in spoken:
            raise InputError(f"languages: {language.lang!r} stands twice")
        for key, said in chain(language.lacking(styles, taxonomy, types), said_twice(language, taxonomy)):
            raise InputError(f"{resources.source(KIND, name)}: {key}: {said}")
        spoken[language.lang] = language
    return Grammar(languages=spoken)


def shipped(lang: str) -> Language | None:
    """The language's own file, None where landmark has none."""
    return load_model(Language, KIND, lang) if lang in available(KIND) else None
