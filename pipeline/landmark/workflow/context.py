"""Everything a recipe refers to, read and checked at the door; workers get values, never files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from landmark.captions.gazetteer import Gazetteer, read_gazetteer
from landmark.captions.grammar import Grammar, load_grammar
from landmark.config.gazetteer import Places
from landmark.config.label_entries import WORLD
from landmark.config.profiles import Imagery, Provider, Sensor, load_sensors
from landmark.config.recipe import Recipe
from landmark.core.errors import InputError
from landmark.core.hashing import digest
from landmark.core.yaml_files import Strict, known, load
from landmark.domain.event import EventTypes
from landmark.domain.impact import Happenings
from landmark.domain.taxonomy import Crosswalk
from landmark.events.files import event_files
from landmark.events.load import read_events
from landmark.events.read import Read, combined
from landmark.events.source import EventSource, load_source
from landmark.labels.files import Given, given_files, label_collection
from landmark.labels.label_rules import Meaning, load_meaning, load_types
from landmark.raster.access import Access
from landmark.stac.catalog import Document, NoArchive
from landmark.stac.open_catalog import open_document


@dataclass(frozen=True, slots=True)
class Setting:
    """A recipe with all it names.

    Attributes:
        label_files: Of the label sources that are read from disk.
        event_sources: Of the recipe's events, in its order.
        events: What they tell, and every file that was looked into.
        gazetteer: The places captions may name.
    """

    recipe: Recipe
    provider: Provider
    sensors: dict[str, Sensor]
    meaning: Meaning
    grammar: Grammar
    document: Document
    label_files: dict[str, Given] = field(default_factory=dict)
    event_sources: tuple[EventSource, ...] = ()
    event_types: EventTypes | None = None
    events: Read = field(default_factory=Read)
    gazetteer: Gazetteer | None = None

    @property
    def rules(self) -> str:
        """Digest of every profile, taxonomy, crosswalk, threshold and word that shapes a sample."""
        models = [self.provider, *self.sensors.values(), self.meaning.taxonomy, *self.meaning.crosswalks, self.grammar]
        if self.event_types is not None:
            models += [self.event_types, *self.event_sources]
        limits = [dict(self.meaning.thresholds), self.meaning.min_agreement_pct]
        # How fast hosts are asked shapes nothing.
        said = [model.model_dump(mode="json", exclude={"budget"}) for model in models]
        return digest([said, *limits])

    @property
    def sources(self) -> list[Crosswalk | EventSource | Places]:
        """Whose labels, events and places the words follow from."""
        places = [self.recipe.places] if self.recipe.places else []
        return [*self.meaning.crosswalks, *self.event_sources, *places]

    def imagery(self, sensor: str) -> Imagery:
        """How the provider speaks of a sensor."""
        return self.provider.sensors[self.sensors[sensor].name]

    @property
    def access(self) -> Access:
        """How the provider's hrefs are read."""
        return Access(self.provider.signing, self.provider.budget)

    def licences(self, sensor: str) -> tuple[str, ...]:
        """Licences a sample of a sensor inherits."""
        labels = (source.licence for source in self.sources)
        return tuple(sorted({self.imagery(sensor).licence, *labels}))

    @property
    def attributions(self) -> list[str]:
        """Whom a corpus names."""
        return [
            *(self.imagery(name).attribution for name in self.sensors),
            *(source.attribution for source in self.sources),
        ]

    def knowing(self, happenings: Happenings | None) -> "Setting":
        """The same, once the marks of the cover are known."""
        return replace(self, meaning=replace(self.meaning, happenings=happenings))


def prepare(recipe: Recipe, catalog: str | None) -> Setting:
    """Read what the recipe names. `catalog` goes before the recipe's own.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    setting = without_archive(recipe, "")
    provider, meaning = setting.provider, setting.meaning
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
    told = zip(recipe.events, setting.event_sources, strict=True)
    return replace(
        setting,
        document=open_document(_catalog(recipe, provider, catalog)),
        label_files=label_files,
        gazetteer=gazetteer(recipe.places),
        events=combined([read_events(entry, source, event_files(entry, _world)) for entry, source in told]),
    )


def without_archive(recipe: Recipe, archive: str, own: Mapping[tuple[str, str], Strict] | None = None) -> Setting:
    """What the recipe names as far as words follow from it: neither archive nor label nor event file is opened.

    `archive` is the id by which the lock names the one there was. `own` are the taxonomy and the languages the corpus
    holds, by kind and name: they stand for the files that are neither shipped nor named by a path.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    with TemporaryDirectory() as folder:
        try:
            return replace(_without_archive(_written(recipe, own or {}, folder), archive), recipe=recipe)
        except InputError as error:
            raise type(error)(str(error).replace(f"{folder}/", "corpus.json: ")) from error


def _written(recipe: Recipe, own: Mapping[tuple[str, str], Strict], folder: str) -> Recipe:
    """The recipe with what the corpus holds as files, which the readers of files check as any other."""

    def file(kind: str, name: str) -> str:
        if (kind, name) not in own or name in known(kind):
            return name
        path = Path(folder) / f"{name}.yaml"
        said = own[kind, name].model_dump(mode="json", by_alias=True, exclude_defaults=True)
        path.write_text(yaml.safe_dump(said, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return str(path)

    languages = tuple(file("taxonomies/captions", name) for name in recipe.languages)
    return recipe.model_copy(update={"taxonomy": file("taxonomies", recipe.taxonomy), "languages": languages})


def _without_archive(recipe: Recipe, archive: str) -> Setting:
    meaning = load_meaning(recipe)
    types = load_types(meaning.taxonomy) if recipe.events else None
    return Setting(
        recipe=recipe,
        provider=load(Provider, "profiles/providers", recipe.provider),
        sensors=dict(load_sensors(recipe.sensors)),
        meaning=meaning,
        grammar=load_grammar(
            recipe.captions, recipe.languages, taxonomy=meaning.taxonomy, types=types.types if types else ()
        ),
        document=NoArchive("", "", archive),
        event_sources=tuple(load_source(entry.source) for entry in recipe.events),
        event_types=types,
    )


def gazetteer(places: Places | None) -> Gazetteer | None:
    """The places a recipe names, read.

    Raises:
        InputError: the file is gone, or holds no named points.
    """
    return read_gazetteer(places_file(places), places.within_km) if places else None


def places_file(places: Places) -> Path:
    """Where a gazetteer lies."""
    if places.file.startswith(WORLD):
        return _world() / places.file.removeprefix(WORLD)
    return Path(places.file)


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
