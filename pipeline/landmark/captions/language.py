"""The words of a language: one file in taxonomies/captions/, checked at the door, so that a caption never lacks one."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from landmark.captions.markup import allowed, filled, parsed
from landmark.core.yaml_files import StrictModel
from landmark.domain.taxonomy import TargetClass, Taxonomy

SLOTS = ("labels", "sensor", "season", "date", "place", "shares", "events", "effects")
SEASONS = ("winter", "spring", "summer", "autumn")
# Stands for a place's name, which may hold any letter.
_NAME = "\0"
_EVENT_SLOTS = ("span", "magnitude", "km")


class Template(StrictModel):
    """One way of saying it."""

    id: str
    text: str

    @field_validator("text")
    @classmethod
    def _known_slots(cls, text: str) -> str:
        return allowed(text, *SLOTS)


class Share(StrictModel):
    """Words for shares from a percentage on, up to the next."""

    from_pct: float = Field(alias="from", ge=0, lt=100)
    of_class: str = Field(alias="class", description="In a list, with {class}")
    several: str | None = Field(None, description="The same of classes with equal words; they stand apart without it")
    alone: str = Field(description="The answer to a question")
    part: str = Field(description="Of the ground, as what an event affected")

    @field_validator("of_class", "several")
    @classmethod
    def _names_it(cls, text: str | None) -> str | None:
        return text if text is None else _needed(allowed(text, "class"), "class")


class Within(StrictModel):
    """How a class is said that is for the most part one finer class."""

    from_pct: float = Field(alias="from", gt=50, le=100, description="Share of the class that is the finer one")
    text: str

    @field_validator("text")
    @classmethod
    def _names_both(cls, text: str) -> str:
        return _needed(allowed(text, "class", "finer"), "class", "finer")


class ClassWords(StrictModel):
    """What the taxonomy does not say of a class."""

    name: str | None = Field(None, description="Where the taxonomy has none in this language; so `phrase`")
    phrase: str | None = None
    of: str | None = Field(None, description="The phrase in questions where the language needs another form")
    word: str | None = Field(None, description="What an event did to ground of this class: burned")


class Places(StrictModel):
    """Where an image lies, seen from a place."""

    near_km: float = Field(ge=0, description="A place nearer than this is named without a distance")
    near: str
    away: str
    winds: tuple[str, ...] = Field(min_length=8, max_length=8, description="From the north through the east")
    contractions: dict[str, str] = Field(default_factory=dict, description="Joined words, as French d'A for de A")

    def near_to(self, name: str) -> str:
        """Words for an image right beside a place."""
        return self._joined(self.near, name)

    def away_from(self, name: str, km: str, wind: int) -> str:
        """Words for an image farther off; `wind` counts eighths of a turn from the north."""
        return self._joined(self.away, name, km=km, wind=self.winds[wind % len(self.winds)])

    def _joined(self, text: str, name: str, **facts: str) -> str:
        """The words, contracted where the name begins and nowhere inside it; the longest contraction counts."""
        glue, _, rest = (" " + filled(text, place=_NAME, **facts)).partition(_NAME)
        for apart, together in sorted(self.contractions.items(), key=lambda pair: -len(pair[0])):
            for cut in range(1, len(apart)):
                if glue.endswith(apart[:cut]) and name.startswith(apart[cut:]):
                    return (glue.removesuffix(apart[:cut]) + together + name.removeprefix(apart[cut:]) + rest)[1:]
        return (glue + name + rest)[1:]

    @field_validator("near", "away")
    @classmethod
    def _names_the_place(cls, text: str) -> str:
        return _needed(allowed(text, "place", "km", "wind"), "place")


class Spans(StrictModel):
    """Times between an event's first moment and the image."""

    hours: str
    day: str
    days: str
    months: str

    @field_validator("days", "months")
    @classmethod
    def _counts(cls, text: str) -> str:
        return _needed(allowed(text, "n"), "n")


class EventWords(StrictModel):
    """What may be said of a kind of event, by phase."""

    noun: str = Field(description="Stands in every clause, and in no caption of an image without such an event")
    before: str = Field(description="In hard negatives alone")
    during: str
    after: str
    near: str | None = Field(None, description="Of an image within the radius of an epicentre")
    effect: str = Field(description="What it did: {part} of the image, and {word} for the class")

    @field_validator("before", "during", "after", "near")
    @classmethod
    def _clause(cls, text: str | None) -> str | None:
        return text if text is None else allowed(text, *_EVENT_SLOTS)

    @field_validator("effect")
    @classmethod
    def _states_the_class(cls, text: str) -> str:
        return _needed(allowed(text, "part", "word"), "word")

    @model_validator(mode="after")
    def _called_by_its_noun(self) -> "EventWords":
        for name in ("before", "during", "after", "near"):
            text = getattr(self, name)
            if text is not None and self.noun not in text:
                raise ValueError(f"`{name}` does not hold the noun {self.noun!r}")
        return self


class Question(StrictModel):
    """A kind of question. `yes` and `no` answer it, where it is one of yes and no."""

    text: str
    yes: str | None = None
    no: str | None = None

    @field_validator("text")
    @classmethod
    def _asks_of_a_class(cls, text: str) -> str:
        return allowed(text, "class", "other", "of", "of_other")


class Questions(StrictModel):
    """The three kinds."""

    presence: Question
    comparison: Question
    share: Question

    @model_validator(mode="after")
    def _answered(self) -> "Questions":
        for name in ("presence", "comparison"):
            question = getattr(self, name)
            if question.yes is None or question.no is None:
                raise ValueError(f"`{name}` needs a `yes` and a `no`")
        return self


class Language(StrictModel):
    """A file of taxonomies/captions/."""

    lang: str = Field(pattern=r"^[a-z]{2,3}(-[a-zA-Z0-9]+)?$", description="BCP 47, as in the column `captions`")
    name: str
    version: str = Field(description="Goes up when the words of facts that did not change do")
    styles: dict[str, tuple[Template, ...]]
    and_: str = Field(alias="and", description="Between the last two of a list")
    and_shares: str = Field(description="The same of classes with their shares, which may be lists themselves")
    sensors: dict[str, str]
    seasons: dict[Literal["winter", "spring", "summer", "autumn"], str] = Field(min_length=4)
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    date: str
    decimal: str = Field(max_length=1)
    numbers: tuple[str, ...] = Field(description="From zero on")
    shares: dict[str, Share] = Field(min_length=1)
    within: Within
    finer: dict[str, str] = Field(default_factory=dict, description="source/class → words; others are not said")
    classes: dict[str, ClassWords] = Field(default_factory=dict)
    places: Places
    under_one: str = Field(description="In place of a distance in km below one")
    spans: Spans
    events: dict[str, EventWords]
    questions: Questions

    @field_validator("date")
    @classmethod
    def _dated(cls, text: str) -> str:
        return _needed(allowed(text, "month", "year"), "year")

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, Share]) -> dict[str, Share]:
        bounds = [share.from_pct for share in shares.values()]
        if bounds[0] != 0 or sorted(set(bounds)) != bounds:
            raise ValueError("shares must begin at 0 and rise")
        return shares

    def share(self, fraction: float) -> str:
        """Key of the words for a share, 0 to 1."""
        # Half a millionth of a percent: a share stored in 32 bits is the share it was.
        reached = [key for key, one in self.shares.items() if 100 * fraction >= one.from_pct - 5e-6]
        return reached[-1]

    def class_name(self, key: str, taxonomy: Taxonomy) -> str:
        """A class's name."""
        return self._said(key, "name") or taxonomy.classes[key].name[self.lang]

    def phrase(self, key: str, taxonomy: Taxonomy) -> str:
        """A class inside a sentence."""
        return self._said(key, "phrase") or taxonomy.classes[key].phrase[self.lang]

    def of(self, key: str, taxonomy: Taxonomy) -> str:
        """A class inside a question, where its form is another."""
        return self._said(key, "of") or self.phrase(key, taxonomy)

    def word(self, key: str, taxonomy: Taxonomy) -> str:
        """What an event did, in place of the class it gives."""
        return self._said(key, "word") or self.phrase(key, taxonomy)

    def number(self, count: int) -> str:
        """A number, in words as far as the language file goes."""
        return self.numbers[count] if count < len(self.numbers) else str(count)

    def lacking(self, styles: Iterable[str], taxonomy: Taxonomy, types: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(key, what is missing and the remedy) of all without which these captions cannot be said."""
        for style in styles:
            if style not in self.styles:
                yield f"styles.{style}", f"no style {style!r}; there are {', '.join(self.styles)}"
        for key, entry in taxonomy.classes.items():
            for field in ("name", "phrase"):
                if self._said(key, field) is None and self.lang not in _spoken(entry, field):
                    said = f"is missing: taxonomy {taxonomy.name} has none in {self.lang!r}; add it here or there"
                    yield f"classes.{key}.{field}", said
        for kind in types:
            if kind not in self.events:
                yield f"events.{kind}", "is missing, and there are such events; add its words"

    def _said(self, key: str, field: str) -> str | None:
        found: str | None = getattr(self.classes.get(key), field, None)
        return found


def _spoken(entry: TargetClass, field: str) -> dict[str, str]:
    return entry.name if field == "name" else entry.phrase


def _needed(text: str, *slots: str) -> str:
    if lacking := set(slots) - parsed(text).slots:
        raise ValueError(f"needs the slot {{{min(lacking)}}}")
    return text
