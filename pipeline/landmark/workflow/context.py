"""Load and validate every file a recipe references; workers receive parsed objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import shapely

from landmark.captions.annotator import AnnotationInputs, load_annotation_inputs
from landmark.captions.gazetteer import Gazetteer, read_gazetteer
from landmark.config.gazetteer import GazetteerEntry
from landmark.config.paths import WORLDS, world_path
from landmark.config.profiles import Provider
from landmark.config.recipe import Recipe
from landmark.core.errors import InputError
from landmark.core.yaml_files import Resources, StrictModel
from landmark.events.files import resolve_event_files
from landmark.events.load import read_events
from landmark.events.result import ReadResult, merge_results
from landmark.labels.files import LocalLabels, local_label_files
from landmark.raster.access import AccessPolicy
from landmark.stac.catalog import Catalog, NullCatalog
from landmark.stac.label_items import label_collection
from landmark.stac.open_catalog import open_catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext(AnnotationInputs):
    """A recipe with every file it references, read and validated.

    Attributes:
        catalog: The STAC catalogue; a `NullCatalog` where no image is searched.
        label_files: Files of the label sources that are read from disk, by source.
        events: The events, and every file that was read for them.
    """

    catalog: Catalog
    label_files: dict[str, LocalLabels] = field(default_factory=dict)
    events: ReadResult = field(default_factory=ReadResult)

    @property
    def access(self) -> AccessPolicy:
        """Signing, rate limits and rules of the provider's hrefs."""
        return AccessPolicy(self.provider.signing, self.provider.budget, self.catalog.rules)


def load_context(recipe: Recipe, catalog: str | None, *, allow_private: bool = False) -> BuildContext:
    """Load and validate every file a recipe references, and open its catalogue.

    Args:
        recipe: The recipe.
        catalog: Path or URL that replaces the recipe's catalogue.
        allow_private: Whether a catalogue that is opened by URL may lead to private addresses.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    context = load_offline_context(recipe, "")
    label_files = {
        crosswalk.name: local_label_files(entry, _world)
        for crosswalk, entry in zip(context.label_rules.crosswalks, recipe.labels, strict=True)
        if entry.files
    }
    for crosswalk, entry in zip(context.label_rules.crosswalks, recipe.labels, strict=True):
        if crosswalk.name not in label_files:
            if entry.composite == "probability":
                raise InputError(
                    "`composite: probability` needs `files` with a band of probability per class; a provider's maps"
                    " hold codes only",
                    file=recipe.name,
                    key=f"labels.{entry.name}.composite",
                    value=entry.composite,
                )
            if entry.year is not None:
                raise InputError(
                    "is the year of files, and the entry has none",
                    file=recipe.name,
                    key=f"labels.{entry.name}.year",
                    value=entry.year,
                    remedy="give `files`; of a provider's maps each cell gets the nearest to the images: limit their"
                    " distance by `max_gap_days`",
                )
            # Checked before a server is queried: a source that the provider does not publish needs files.
            label_collection(context.provider, crosswalk)
    return replace(
        context,
        catalog=open_catalog(
            _catalog_location(recipe, context.provider, catalog),
            replace(context.provider.host_rules, private=allow_private),
        ),
        label_files=label_files,
        gazetteer=load_gazetteer(recipe.gazetteer),
        events=merge_results(
            [
                _note_outside(read_events(entry, source, resolve_event_files(entry, _world)), entry.name, recipe)
                for entry, source in zip(recipe.events, context.event_sources, strict=True)
            ]
        ),
    )


def _note_outside(events: ReadResult, source: str, recipe: Recipe) -> ReadResult:
    """Add a note if all events of a source are outside the region, as where latitude and longitude are swapped."""
    frame = shapely.box(*recipe.region.geometry.bounds)
    boxes = [shapely.box(*part.geometry.bounds) for event in events.events for part in event.parts]
    if not boxes or shapely.intersects(frame, boxes).any():
        return events
    swapped = shapely.transform(boxes, lambda xy: xy[:, ::-1])
    hint = "; are latitude and longitude swapped?" if shapely.intersects(frame, swapped).any() else ""
    return replace(events, notes=(*events.notes, f"{source}: no event is in the region{hint}"))


def load_offline_context(
    recipe: Recipe, catalog_id: str, embedded: Mapping[tuple[str, str], StrictModel] | None = None
) -> BuildContext:
    """Load the inputs of annotation: no catalogue, label file, event file or gazetteer is opened.

    Args:
        recipe: The recipe.
        catalog_id: Id of the catalogue in the lock.
        embedded: Taxonomy and languages of a sealed corpus by (kind, name); they replace files that are neither shipped
            nor named by path.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    inputs = load_annotation_inputs(recipe, Resources(embedded or {}))
    loaded = {each.name: getattr(inputs, each.name) for each in fields(inputs)}
    return BuildContext(**loaded, catalog=NullCatalog("", "", catalog_id))


def load_gazetteer(entry: GazetteerEntry | None) -> Gazetteer | None:
    """Read the gazetteer of a recipe.

    Raises:
        InputError: the file is missing, or holds no named points.
    """
    return read_gazetteer(gazetteer_path(entry), entry.within_km) if entry else None


def gazetteer_path(entry: GazetteerEntry) -> Path:
    """Path of a gazetteer."""
    return Path(world_path(entry.file, _world))


def _catalog_location(recipe: Recipe, provider: Provider, override: str | None) -> str:
    location = override or recipe.catalog or provider.api
    if location is None:
        raise InputError(
            f"key is missing, and provider {provider.name} has no `api`",
            file=recipe.name,
            key="catalog",
            remedy="give --catalog",
        )
    return str(_world(location) / "catalog.json") if location in WORLDS else location


def _world(name: str) -> Path:
    from landmark import world

    return (world.demo if name == "world" else world.easy)().parent
