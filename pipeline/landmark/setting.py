"""Everything a recipe refers to, read and checked at the door; workers get values, never files."""

from dataclasses import dataclass, field
from pathlib import Path

from landmark.base.errors import InputError
from landmark.base.files import load
from landmark.base.hashing import digest
from landmark.base.meaning import Meaning, load_meaning
from landmark.base.profiles import Imagery, Provider, Sensor, load_sensors
from landmark.base.recipe import Recipe
from landmark.catalog import Document, Given, given_files, label_collection, open_document
from landmark.io.access import Access
from landmark.narrate import Grammar, load_grammar


@dataclass(frozen=True, slots=True)
class Setting:
    """A recipe with all it names.

    Attributes:
        label_files: Of the label sources that are read from disk.
    """

    recipe: Recipe
    provider: Provider
    sensors: dict[str, Sensor]
    meaning: Meaning
    grammar: Grammar
    document: Document
    label_files: dict[str, Given] = field(default_factory=dict)

    @property
    def rules(self) -> str:
        """Digest of every profile, taxonomy, crosswalk, threshold and word that shapes a sample."""
        models = [self.provider, *self.sensors.values(), self.meaning.taxonomy, *self.meaning.crosswalks, self.grammar]
        limits = [dict(self.meaning.thresholds), self.meaning.min_agreement_pct]
        return digest([[model.model_dump(mode="json") for model in models], *limits])

    def imagery(self, sensor: str) -> Imagery:
        """How the provider speaks of a sensor."""
        return self.provider.sensors[self.sensors[sensor].name]

    @property
    def access(self) -> Access:
        """How the provider's hrefs are read."""
        return Access(self.provider.signing)

    def licences(self, sensor: str) -> tuple[str, ...]:
        """Licences a sample of a sensor inherits."""
        return tuple(sorted({self.imagery(sensor).licence, *(source.licence for source in self.meaning.crosswalks)}))

    @property
    def attributions(self) -> list[str]:
        """Whom a corpus names."""
        return [
            *(self.imagery(name).attribution for name in self.sensors),
            *(source.attribution for source in self.meaning.crosswalks),
        ]


def prepare(recipe: Recipe, catalog: str | None) -> Setting:
    """Read what the recipe names. `catalog` goes before the recipe's own.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    provider = load(Provider, "profiles/providers", recipe.provider)
    meaning = load_meaning(recipe)
    sources = zip(meaning.sources, recipe.labels, strict=True)
    label_files = {name: given_files(entry, _world) for name, entry in sources if entry.files}
    for crosswalk, entry in zip(meaning.crosswalks, recipe.labels, strict=True):
        if crosswalk.name not in label_files:
            if entry.composite == "probability":
                raise InputError(
                    f"{recipe.name}: labels: {entry.name}: `composite: probability` needs `files` with a band of"
                    " probability per class; a provider's maps hold codes alone"
                )
            # Asked before a server is: a source nobody publishes needs files.
            label_collection(provider, crosswalk)
    return Setting(
        recipe=recipe,
        provider=provider,
        sensors=dict(load_sensors(recipe.sensors)),
        meaning=meaning,
        grammar=load_grammar(
            recipe.captions,
            recipe.languages,
            taxonomy=meaning.taxonomy,
            types=meaning.happenings.types if meaning.happenings else (),
        ),
        document=open_document(_catalog(recipe, provider, catalog)),
        label_files=label_files,
    )


def _catalog(recipe: Recipe, provider: Provider, given: str | None) -> str:
    place = given or recipe.catalog or provider.api
    if place == "world":
        return str(_world() / "catalog.json")
    if place is None:
        raise InputError(f"{recipe.name}: gives no `catalog`, and provider {provider.name} has no `api`; say --catalog")
    return place


def _world() -> Path:
    from landmark import world

    return world.demo().parent
