"""Everything a recipe refers to, read and checked at the door; workers get values, never files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from landmark.base.errors import InputError
from landmark.base.files import load
from landmark.base.hashing import digest
from landmark.base.profiles import Imagery, Provider, Sensor, load_sensors
from landmark.base.recipe import Recipe
from landmark.base.taxonomy import LabelVintage, Meaning, load_meaning, nearest_vintage
from landmark.catalog import Document, open_document
from landmark.io.access import Access
from landmark.narrate import Grammar, load_grammar


@dataclass(frozen=True, slots=True)
class Setting:
    """A recipe with all it names."""

    recipe: Recipe
    provider: Provider
    sensors: dict[str, Sensor]
    meaning: Meaning
    grammar: Grammar
    document: Document

    @property
    def rules(self) -> str:
        """Digest of every profile, taxonomy, crosswalk, threshold and word that shapes a sample."""
        models = [self.provider, *self.sensors.values(), self.meaning.taxonomy, *self.meaning.crosswalks, self.grammar]
        return digest([[model.model_dump(mode="json") for model in models], dict(self.meaning.thresholds)])

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

    def vintages(self, editions: Iterable[LabelVintage], periods: Sequence[str]) -> dict[str, tuple[LabelVintage, ...]]:
        """The edition of each label source that serves each period, in the order of the sources."""
        known = list(editions)
        return {
            period: tuple(
                nearest_vintage([one for one in known if one.name == name], period) for name in self.meaning.sources
            )
            for period in periods
        }


def prepare(recipe: Recipe, catalog: str | None) -> Setting:
    """Read what the recipe names. `catalog` goes before the recipe's own.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    provider = load(Provider, "profiles/providers", recipe.provider)
    return Setting(
        recipe=recipe,
        provider=provider,
        sensors=dict(load_sensors(recipe.sensors)),
        meaning=load_meaning(recipe),
        grammar=load_grammar(recipe.captions),
        document=open_document(_catalog(recipe, provider, catalog)),
    )


def _catalog(recipe: Recipe, provider: Provider, given: str | None) -> str:
    place = given or recipe.catalog or provider.api
    if place == "world":
        from landmark import world

        return str(world.demo())
    if place is None:
        raise InputError(f"{recipe.name}: gives no `catalog`, and provider {provider.name} has no `api`; say --catalog")
    return place
