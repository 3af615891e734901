"""Assemble what annotating samples needs from a plan and its context."""

from landmark.captions.annotate import Wording
from landmark.captions.render import Wanted
from landmark.domain.taxonomy import LabelEdition
from landmark.workflow.context import BuildContext
from landmark.workflow.lock import Planned


def make_annotator(plan: Planned, context: BuildContext) -> Wording:
    """Combine the label editions and events of a lock with the recipe's label rules, grammar and licences."""
    recipe = context.recipe
    editions = (LabelEdition(entry.source, entry.version, entry.start, entry.end) for entry in plan.lock.editions)
    return Wording(
        meaning=context.with_event_index(plan.lock.happenings(context.event_types)).label_rules,
        grammar=context.grammar,
        wanted=Wanted(
            recipe.captions, recipe.sampling.seed, recipe.captions_per_style, recipe.questions, recipe.hard_negatives
        ),
        editions=tuple(editions),
        gazetteer=context.gazetteer,
        licences={name: context.licences(name) for name in recipe.sensors},
    )
