"""Schema of a language file (taxonomies/captions/*.yaml): templates, and words for facts."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from landmark.captions.markup import check_slots, fill, parse_template
from landmark.core.errors import invalid
from landmark.core.yaml_files import StrictModel
from landmark.domain.taxonomy import TargetClass, Taxonomy

SLOTS = ("labels", "sensor", "season", "date", "place", "shares", "events", "effects")
SEASONS = ("winter", "spring", "summer", "autumn")
# Placeholder for a place's name, which may contain any letter.
_NAME = "\0"
_EVENT_SLOTS = ("span", "magnitude", "km")


class Template(StrictModel):
    """Text of a caption with slots for facts."""

    id: str
    text: str

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return check_slots(text, *SLOTS)


class ShareWords(StrictModel):
    """Words for shares from a percentage up to that of the next entry."""

    from_pct: float = Field(alias="from", ge=0, lt=100)
    of_class: str = Field(alias="class", description="An item of a list, with {class}")
    several: str | None = Field(
        None, description="One item for all adjacent classes with these words; by default each class is an item"
    )
    alone: str = Field(description="Answer to a question")
    part: str = Field(description="Share of the cell that an event affected")

    @field_validator("of_class", "several")
    @classmethod
    def _check_text(cls, text: str | None) -> str | None:
        return text if text is None else _require_slots(check_slots(text, "class"), "class")


class SubclassWords(StrictModel):
    """Words for a class of which one subclass makes up most."""

    from_pct: float = Field(alias="from", gt=50, le=100, description="Smallest share of the class, in percent")
    text: str = Field(description="With {class}, and {finer} for the subclass")

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return _require_slots(check_slots(text, "class", "finer"), "class", "finer")


class ClassWords(StrictModel):
    """Words for a class that the taxonomy does not give."""

    name: str | None = Field(None, description="Required if the taxonomy has none in this language")
    phrase: str | None = Field(None, description="In sentences; required if the taxonomy has none in this language")
    of: str | None = Field(None, description="In questions, if its form differs from the phrase")
    word: str | None = Field(None, description="Effect of an event on land of this class, such as burned")


class PlaceWords(StrictModel):
    """Words for the position of an image relative to a place."""

    near_km: float = Field(ge=0, description="A place nearer than this is named without distance and direction")
    near: str
    away: str
    directions: tuple[str, ...] = Field(min_length=8, max_length=8, description="Clockwise from north")
    contractions: dict[str, str] = Field(
        default_factory=dict, description="Replaced where a name begins, such as French d'A for de A"
    )

    def render_near(self, name: str) -> str:
        """Phrase for an image at a place."""
        return self._contract(self.near, name)

    def render_distance(self, name: str, km: str, direction: int) -> str:
        """Phrase for an image at a distance; `direction` counts eighths of a turn clockwise from north."""
        return self._contract(self.away, name, km=km, wind=self.directions[direction % len(self.directions)])

    def _contract(self, text: str, name: str, **words: str) -> str:
        """Fill a template, applying the longest contraction that spans the start of the name."""
        before, _, after = (" " + fill(text, place=_NAME, **words)).partition(_NAME)
        for separate, contracted in sorted(self.contractions.items(), key=lambda pair: -len(pair[0])):
            for cut in range(1, len(separate)):
                if before.endswith(separate[:cut]) and name.startswith(separate[cut:]):
                    start, end = before.removesuffix(separate[:cut]), name.removeprefix(separate[cut:])
                    return (start + contracted + end + after)[1:]
        return (before + name + after)[1:]

    @field_validator("near", "away")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return _require_slots(check_slots(text, "place", "km", "wind"), "place")


class TimeSpans(StrictModel):
    """Words for the time between the start of an event and the image."""

    hours: str
    day: str
    days: str
    months: str

    @field_validator("days", "months")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return _require_slots(check_slots(text, "n"), "n")


class EventWords(StrictModel):
    """Words for a type of event, by phase of the image."""

    noun: str = Field(description="Part of every clause; no caption of an image without such an event contains it")
    before: str = Field(description="Used in hard negatives only")
    during: str
    after: str
    near: str | None = Field(None, description="For an image within the radius of an epicentre")
    effect: str = Field(description="With {part} for the share of the cell, and {word} for the class")

    @field_validator("before", "during", "after", "near")
    @classmethod
    def _check_clause(cls, text: str | None) -> str | None:
        return text if text is None else check_slots(text, *_EVENT_SLOTS)

    @field_validator("effect")
    @classmethod
    def _check_effect(cls, text: str) -> str:
        return _require_slots(check_slots(text, "part", "word"), "word")

    @model_validator(mode="after")
    def _check_noun(self) -> "EventWords":
        for name in ("before", "during", "after", "near"):
            text = getattr(self, name)
            if text is not None and self.noun not in text:
                raise invalid(f"does not contain the noun {self.noun!r}", key=name, value=text)
        return self


class QuestionWords(StrictModel):
    """Text of a question, and its answers if it is a yes-or-no question."""

    text: str
    yes: str | None = None
    no: str | None = None

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        return check_slots(text, "class", "other", "of", "of_other")


class QuestionSet(StrictModel):
    """Texts of the three kinds of questions."""

    presence: QuestionWords
    comparison: QuestionWords
    share: QuestionWords

    @model_validator(mode="after")
    def _check_answers(self) -> "QuestionSet":
        for name in ("presence", "comparison"):
            question = getattr(self, name)
            if question.yes is None or question.no is None:
                raise invalid("needs a `yes` and a `no`", key=name)
        return self


class Language(StrictModel):
    """A language file."""

    lang: str = Field(pattern=r"^[a-z]{2,3}(-[a-zA-Z0-9]+)?$", description="BCP 47 tag, as in the column `captions`")
    name: str
    version: str = Field(description="To be raised when words change; recorded in the column `template`")
    styles: dict[str, tuple[Template, ...]]
    and_: str = Field(alias="and", description="Before the last item of a list")
    and_shares: str = Field(description="Before the last item of a list of classes with shares")
    sensors: dict[str, str]
    seasons: dict[Literal["winter", "spring", "summer", "autumn"], str] = Field(min_length=4)
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    date: str
    decimal: str = Field(max_length=1, description="Decimal separator")
    numbers: tuple[str, ...] = Field(description="From zero; larger numbers are written in digits")
    shares: dict[str, ShareWords] = Field(min_length=1)
    dominant_subclass: SubclassWords
    subclasses: dict[str, str] = Field(default_factory=dict, description="source/class → words; others are not named")
    classes: dict[str, ClassWords] = Field(default_factory=dict)
    places: PlaceWords
    below_1_km: str = Field(description="In place of a distance in km below 1")
    spans: TimeSpans
    events: dict[str, EventWords]
    questions: QuestionSet

    @field_validator("date")
    @classmethod
    def _check_date(cls, text: str) -> str:
        return _require_slots(check_slots(text, "month", "year"), "year")

    @field_validator("shares")
    @classmethod
    def _check_shares(cls, shares: dict[str, ShareWords]) -> dict[str, ShareWords]:
        bounds = [words.from_pct for words in shares.values()]
        if bounds[0] != 0 or sorted(set(bounds)) != bounds:
            raise invalid("`from` must start at 0 and increase", value=bounds)
        return shares

    def share_key(self, fraction: float) -> str:
        """Key of the words for a fraction, 0 to 1."""
        # Tolerance in percent: a float32 fraction must give the same words as the float64 it was rounded from.
        return [key for key, words in self.shares.items() if 100 * fraction >= words.from_pct - 5e-6][-1]

    def class_name(self, key: str, taxonomy: Taxonomy) -> str:
        """Name of a class."""
        return self._own_words(key, "name") or taxonomy.classes[key].name[self.lang]

    def phrase(self, key: str, taxonomy: Taxonomy) -> str:
        """Words for a class in a sentence."""
        return self._own_words(key, "phrase") or taxonomy.classes[key].phrase[self.lang]

    def question_form(self, key: str, taxonomy: Taxonomy) -> str:
        """Words for a class in a question."""
        return self._own_words(key, "of") or self.phrase(key, taxonomy)

    def event_word(self, key: str, taxonomy: Taxonomy) -> str:
        """Words for the effect of an event, given its class."""
        return self._own_words(key, "word") or self.phrase(key, taxonomy)

    def spell_number(self, count: int) -> str:
        """A number in words if the file has them, else in digits."""
        return self.numbers[count] if count < len(self.numbers) else str(count)

    def find_missing(
        self, styles: Iterable[str], taxonomy: Taxonomy, types: Iterable[str]
    ) -> Iterator[tuple[str, str]]:
        """(key, problem) of all words that captions of these styles, classes and types of events need."""
        for style in styles:
            if style not in self.styles:
                yield f"styles.{style}", f"no style {style!r}; available: {', '.join(self.styles)}"
        for key, entry in taxonomy.classes.items():
            for form in ("name", "phrase"):
                if self._own_words(key, form) is None and self.lang not in _translations(entry, form):
                    problem = f"missing; taxonomy {taxonomy.name} has none in {self.lang!r}: add it to either file"
                    yield f"classes.{key}.{form}", problem
        for event_type in types:
            if event_type not in self.events:
                yield f"events.{event_type}", "missing; the recipe has events of this type: add words for it"

    def _own_words(self, key: str, form: str) -> str | None:
        words: str | None = getattr(self.classes.get(key), form, None)
        return words


def _translations(entry: TargetClass, form: str) -> dict[str, str]:
    return entry.name if form == "name" else entry.phrase


def _require_slots(text: str, *slots: str) -> str:
    if missing := set(slots) - parse_template(text).required_slots:
        raise invalid(f"needs the slot {{{min(missing)}}}", value=text)
    return text
