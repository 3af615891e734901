"""Load the languages of a corpus and check that they have all words it needs."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from landmark.captions.language import Language
from landmark.captions.parse import ambiguous_words
from landmark.core.errors import InputError
from landmark.core.resources import available
from landmark.core.yaml_files import Resources, StrictModel, load_model
from landmark.corpus.manifest import Manifest, invalid_document
from landmark.domain.taxonomy import Crosswalk, Taxonomy

KIND = "taxonomies/captions"
_SHIPPED = Resources()


class Grammar(StrictModel):
    """The languages of a corpus, in the recipe's order."""

    languages: dict[str, Language]


def recorded_grammar(manifest: Manifest, corpus: Path) -> Grammar:
    """The grammar that a corpus records: without languages where it records none.

    Raises:
        InvalidCorpus: the manifest holds another.
    """
    try:
        return Grammar.model_validate(manifest.grammar or {"languages": {}})
    except ValidationError as error:
        raise invalid_document(error, corpus / "corpus.json", "a grammar", "grammar") from error


def load_grammar(
    styles: Sequence[str],
    languages: Sequence[str] = ("en",),
    *,
    taxonomy: Taxonomy,
    types: Iterable[str] = (),
    crosswalks: Sequence[Crosswalk] = (),
    resources: Resources = _SHIPPED,
) -> Grammar:
    """Load languages by name (a file in taxonomies/captions/) or path.

    Args:
        styles: Styles that each language must have.
        languages: Names or paths.
        taxonomy: Its classes need a name and a phrase in each language.
        types: Types of events that each language must have words for.
        crosswalks: Of the label sources; words for the subclasses of other sources are not used.
        resources: Where files are read from.

    Raises:
        InputError: an unknown or duplicate language, missing words, or words that state two facts.
    """
    loaded: dict[str, Language] = {}
    types = tuple(types)
    used = {f"event_type:{key}" for key in types}
    used |= {f"finer:{name}" for crosswalk in crosswalks for name in crosswalk.subclasses}
    for name in languages:
        language = resources.load(Language, KIND, name)
        if language.lang in loaded:
            raise InputError("duplicate language", key="languages", value=language.lang)
        problems = chain(language.find_missing(styles, taxonomy, types), ambiguous_words(language, taxonomy, used))
        for key, problem in problems:
            raise InputError(problem, file=resources.source(KIND, name), key=key)
        loaded[language.lang] = language
    return Grammar(languages=loaded)


def load_shipped_language(lang: str) -> Language | None:
    """A language that landmark ships, None if there is none."""
    return load_model(Language, KIND, lang) if lang in available(KIND) else None


def load_shipped_languages() -> dict[str, Language]:
    """All languages that landmark ships."""
    return {lang: load_model(Language, KIND, lang) for lang in available(KIND)}
