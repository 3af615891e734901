"""Assemble what annotating samples needs from a plan and its context."""

from landmark.captions.annotate import Annotator
from landmark.captions.render import CaptionConfig
from landmark.domain.taxonomy import LabelEdition
from landmark.workflow.context import BuildContext
from landmark.workflow.lock import Plan


def make_annotator(plan: Plan, context: BuildContext) -> Annotator:
    """Combine the label editions and events of a lock with the recipe's label rules, grammar and licences."""
    recipe = context.recipe
    editions = (LabelEdition(entry.source, entry.version, entry.start, entry.end) for entry in plan.lock.editions)
    return Annotator(
        label_rules=context.with_event_index(plan.lock.event_index(context.event_types)).label_rules,
        grammar=context.grammar,
        config=CaptionConfig(
            recipe.captions, recipe.sampling.seed, recipe.captions_per_style, recipe.questions, recipe.hard_negatives
        ),
        editions=tuple(editions),
        gazetteer=context.gazetteer,
        licences={name: context.licences(name) for name in recipe.sensors},
    )
