"""Load what annotating samples needs: the files that a recipe names, and the editions and events of a lock."""

from dataclasses import dataclass, replace

from landmark.captions.annotate import Annotator
from landmark.captions.gazetteer import Gazetteer
from landmark.captions.grammar import Grammar, load_grammar
from landmark.captions.render import CaptionConfig
from landmark.config.gazetteer import GazetteerEntry
from landmark.config.profiles import Provider, Sensor, SensorCollection, load_sensors
from landmark.config.recipe import Recipe
from landmark.core.hashing import digest
from landmark.core.yaml_files import Resources, load_model
from landmark.corpus.lock import Lock
from landmark.domain.event import EventTypes
from landmark.domain.impact import EventIndex
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.events.source import EventSource, load_source
from landmark.labels.label_rules import LabelRules, load_event_types, load_label_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationInputs:
    """Every file of a recipe that annotations follow from, read and validated.

    Attributes:
        recipe: The recipe.
        provider: Profile of the provider.
        sensors: Profiles of the recipe's sensors by name.
        label_rules: Taxonomy, crosswalks and thresholds.
        grammar: Languages of the captions.
        event_sources: Profiles of the recipe's event entries, in its order.
        event_types: Types of events, None where the recipe has none.
        gazetteer: The places captions may name.
    """

    recipe: Recipe
    provider: Provider
    sensors: dict[str, Sensor]
    label_rules: LabelRules
    grammar: Grammar
    event_sources: tuple[EventSource, ...] = ()
    event_types: EventTypes | None = None
    gazetteer: Gazetteer | None = None

    @property
    def inputs_digest(self) -> str:
        """Digest of every profile, taxonomy, crosswalk, threshold and grammar that determines a sample."""
        rules = self.label_rules
        models = [self.provider, *self.sensors.values(), rules.taxonomy, *rules.crosswalks, self.grammar]
        if self.event_types is not None:
            models += [self.event_types, *self.event_sources]
        # Rate limits and hosts do not affect samples.
        documents = [model.model_dump(mode="json", exclude={"budget", "hosts"}) for model in models]
        return digest([documents, dict(rules.thresholds), rules.min_agreement_pct])

    def imagery(self, sensor: str) -> SensorCollection:
        """The provider's collection of a sensor."""
        return self.provider.sensors[self.sensors[sensor].name]

    def licences(self, sensor: str) -> tuple[str, ...]:
        """Licences that a sample of a sensor inherits, sorted."""
        return tuple(sorted({self.imagery(sensor).licence, *(source.licence for source in self._sources)}))

    @property
    def attributions(self) -> list[str]:
        """Attributions of all imagery and sources."""
        imagery = (self.imagery(name).attribution for name in self.sensors)
        return [*imagery, *(source.attribution for source in self._sources)]

    def rules_with(self, index: EventIndex | None) -> LabelRules:
        """The label rules with the event combinations of label counts."""
        return replace(self.label_rules, event_index=index)

    def annotator(self, lock: Lock) -> Annotator:
        """Combine the label editions and events of a lock with the label rules, grammar and licences."""
        recipe, seed = self.recipe, self.recipe.sampling.seed
        editions = (LabelEdition(entry.source, entry.version, entry.start, entry.end) for entry in lock.editions)
        return Annotator(
            label_rules=self.rules_with(lock.event_index(self.event_types)),
            grammar=self.grammar,
            config=CaptionConfig(
                recipe.captions, seed, recipe.captions_per_style, recipe.questions, recipe.hard_negatives
            ),
            editions=tuple(editions),
            gazetteer=self.gazetteer,
            licences={name: self.licences(name) for name in recipe.sensors},
        )

    @property
    def _sources(self) -> list[Crosswalk | EventSource | GazetteerEntry]:
        places = [self.recipe.gazetteer] if self.recipe.gazetteer else []
        return [*self.label_rules.crosswalks, *self.event_sources, *places]


def load_annotation_inputs(recipe: Recipe, resources: Resources | None = None) -> AnnotationInputs:
    """Load the inputs of annotation: no catalogue, label file, event file or gazetteer is opened.

    Args:
        recipe: The recipe.
        resources: Where taxonomy and languages are read from.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    resources = resources or Resources()
    label_rules = load_label_rules(recipe, resources)
    types = load_event_types(label_rules.taxonomy) if recipe.events else None
    return AnnotationInputs(
        recipe=recipe,
        provider=load_model(Provider, "profiles/providers", recipe.provider),
        sensors=dict(load_sensors(recipe.sensors)),
        label_rules=label_rules,
        grammar=load_grammar(
            recipe.captions,
            recipe.languages,
            taxonomy=label_rules.taxonomy,
            types=types.types if types else (),
            crosswalks=label_rules.crosswalks,
            resources=resources,
        ),
        event_sources=tuple(load_source(entry.source) for entry in recipe.events),
        event_types=types,
    )
