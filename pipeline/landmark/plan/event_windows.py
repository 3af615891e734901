"""Which events a recipe is about, and where and when images of them are looked for."""

import datetime as dt
from collections.abc import Sequence

import shapely

from landmark.config.recipe import Recipe
from landmark.core.errors import NoCoverage
from landmark.domain.event import Event
from landmark.domain.impact import Happenings, Mark
from landmark.stac.search import Window
from landmark.workflow.context import Setting


def events_of(setting: Setting) -> tuple[Event, ...]:
    """The events that meet the recipe's region, whenever; to go round them, one must meet its time as well.

    Raises:
        NoCoverage: there are none to go round.
    """
    recipe = setting.recipe
    region, wish = recipe.region.geometry, recipe.around_events
    shapely.prepare(region)
    meeting = tuple(one for one in setting.events.events if any(part.shape.intersects(region) for part in one.parts))
    if wish is not None and not any(recipe.time.meets(one.start, one.end) for one in meeting):
        raise NoCoverage(
            f"{recipe.name}: none of {len(setting.events.events)} events meets region and time;"
            " `landmark events show` tells where and when they are"
        )
    return meeting


def windows(events: Sequence[Event], recipe: Recipe) -> list[Window]:
    """Where and when to look for images round events; none where the recipe looks everywhere."""
    wish, region = recipe.around_events, recipe.region.geometry
    if wish is None:
        return []
    day = dt.timedelta(days=1)
    return [
        Window(
            one.surroundings(wish.far_km).intersection(region),
            max((one.start - wish.before_days * day).date(), recipe.time.start),
            min((one.end + wish.after_days * day).date(), recipe.time.end),
        )
        for one in events
        if recipe.time.meets(one.start, one.end)
    ]


def happenings(setting: Setting, events: Sequence[Event], marks: Sequence[Mark]) -> Happenings | None:
    """The events with the marks of a cover, None where the recipe has none."""
    if setting.event_types is None:
        return None
    return Happenings({one.id: one for one in events}, setting.event_types.types, tuple(marks))
