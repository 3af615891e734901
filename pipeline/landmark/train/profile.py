"""What a model is and how it is trained: `profiles/models/*.yaml`, checked at the door."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from landmark.config.profiles import SensorName
from landmark.core.errors import InputError
from landmark.core.yaml_files import StrictModel, load_model, parse_model


class Stat(StrictModel):
    """Mean and deviation of a band's valid pixels in the train split, in dB or as reflectance."""

    mean: float
    std: float


class ImageTower(StrictModel):
    """A ResNet for each sensor, as `transformers` builds it."""

    layer: Literal["basic", "bottleneck"] = Field(description="Residual layers of two, or of three convolutions")
    stem_width: int = Field(ge=1, description="Channels after the first convolution")
    widths: tuple[Annotated[int, Field(ge=4)], ...] = Field(min_length=1, description="Channels of each stage")
    depths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, description="Residual layers of each stage")
    downsample: int = Field(1, ge=1, description="Images are averaged over squares of this many pixels first")
    bands: Literal["stored", "sentinel-2-l1c"] = Field(
        "stored", description="Bands as readers hand them back; or Sentinel-2's thirteen, with zeros for B10"
    )
    scaling: Literal["standardised", "divided"] = Field(
        "standardised",
        description="By mean and deviation of the train split; or reflectance as numbers / 10000 and dB as they are",
    )
    weights: dict[SensorName, str] = Field(
        {}, description="Pretrained weights of a sensor's tower: a file (.safetensors, .pth) with torchvision's names"
    )

    @model_validator(mode="after")
    def _as_many(self) -> "ImageTower":
        if len(self.widths) != len(self.depths):
            raise ValueError(f"as many `depths` as `widths`: {len(self.depths)} and {len(self.widths)}")
        return self


class TextTower(StrictModel):
    """A BERT: pretrained, or a small one over the words of the corpus."""

    weights: str | None = Field(
        None, description="A local folder or a name on the Hugging Face hub; none trains a BERT from scratch"
    )
    pooling: Literal["mean", "cls"] = Field(description="Mean over the tokens, or the first token")
    max_tokens: int = Field(64, ge=3, description="A text is cut after so many tokens")
    width: int = Field(64, ge=1, description="Of a BERT from scratch: numbers a token")
    layers: int = Field(1, ge=1, description="Of a BERT from scratch")
    heads: int = Field(2, ge=1, description="Of a BERT from scratch; divides `width`")

    @model_validator(mode="after")
    def _heads_divide(self) -> "TextTower":
        if self.width % self.heads:
            raise ValueError(f"`heads` ({self.heads}) must divide `width` ({self.width})")
        return self


class Objective(StrictModel):
    """The loss."""

    targets: Literal["identity", "equal", "overlap"] = Field(
        description="A text is right for its own image; for all images of its label set; or for others too, by overlap"
    )
    overlap_power: float = Field(1.0, gt=0, description="With `targets: overlap`: exponent of the Jaccard index")
    scale: float = Field(gt=0, description="Multiplies the cosines at the start: the inverse of the temperature")
    learned: bool = Field(description="The scale is trained, as its logarithm")
    max_scale: float = Field(100.0, gt=0, description="Where a learned scale is held, as in CLIP")


class Budget(StrictModel):
    """How long and how hard."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2, description="Images of each sensor in a step")
    rate: float = Field(gt=0, description="Greatest learning rate of AdamW")
    warmup: float = Field(0.3, ge=0, lt=1, description="Share of the steps in which the rate rises")
    weight_decay: float = Field(0.01, ge=0)
    max_norm: float | None = Field(None, gt=0, description="Gradients are clipped to this norm")
    turns: bool = Field(description="Images are turned and mirrored, another way each epoch")


class Model(StrictModel):
    """`profiles/models/*.yaml`."""

    title: str
    image: ImageTower
    text: TextTower
    dimensions: int = Field(ge=2, description="Of the space images and texts share")
    style: str = Field("structured", description="Style of the captions to learn from")
    lang: str = Field("en", description="Language of the captions to learn from")
    objective: Objective
    budget: Budget
    caveats: tuple[str, ...] = Field((), description="What a reader of its figures should know")


def load_model(name: str, *, epochs: int | None = None, batch: int | None = None, text: str | None = None) -> Model:
    """A profile by name or path, changed as the command line says.

    Raises:
        InputError: no such profile, or a value it cannot have.
    """
    model = load_model(Model, "profiles/models", name)
    if text is not None and model.text.weights is None:
        raise InputError(f"--text {text}: {name} trains its text tower from scratch; --model closp takes weights")
    said: dict[str, Any] = model.model_dump(mode="json")
    said["budget"] |= {key: value for key, value in (("epochs", epochs), ("batch", batch)) if value is not None}
    said["text"] |= {} if text is None else {"weights": text}
    return parse_model(Model, said, name)
