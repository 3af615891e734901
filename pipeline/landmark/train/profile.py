"""Model profiles (`profiles/models/*.yaml`): architecture, objective and training schedule."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from landmark.config.profiles import SensorName
from landmark.config.reference import model_reference
from landmark.core.errors import InputError, invalid
from landmark.core.yaml_files import StrictModel, load_model, parse_model

Augmentation = Literal["none", "flips", "turns"]
Convention = Literal["orthonormal", "satclip-analytic"]
Targets = Literal["identity", "equal", "overlap", "subset"]

_HEADER = """# Model

Keys of a model profile (`profiles/models/*.yaml`, or a file of yours). Generated from `landmark/train/profile.py` by
`make docs`; do not edit.
"""


class BandStatistics(StrictModel):
    """Mean and standard deviation of a band's valid pixels in the train split; dB for Sentinel-1, else reflectance."""

    mean: float
    std: float = Field(gt=0)


class ImageTower(StrictModel):
    """An image tower per sensor."""

    architecture: Literal["tiny", "texture", "resnet50", "vit_small_patch16_224", "vit_large_patch16_224"] = Field(
        description="Architecture by timm's name; or tiny, a ResNet of four blocks; or texture, four convolutions of"
        " which statistics are pooled; a ViT gets images of 224 px"
    )
    downsample: int = Field(1, ge=1, description="Average images over squares of this many pixels first")
    bands: Literal["stored", "sentinel-2-l1c"] = Field(
        "stored", description="Bands of the corpus, or the 13 bands of Sentinel-2 L1C with zeros for B10"
    )
    scaling: Literal["standardised", "logarithmic", "divided"] = Field(
        "standardised",
        description="Standardise by the train split's mean and deviation; or take the logarithm of Sentinel-2 as well,"
        " with the same slope at the mean; or divide Sentinel-2 by 10000 and keep dB",
    )
    head: dict[SensorName, Annotated[int, Field(ge=1)]] = Field(
        {}, description="Width of a linear layer between tower and projection, by sensor"
    )
    weights: dict[SensorName, str] = Field(
        {}, description="Pretrained weights by sensor: a file (.safetensors, .pth) with timm's parameter names"
    )


class TextTower(StrictModel):
    """A BERT: pretrained, or a small one over the words of the corpus."""

    weights: str | None = Field(
        None, description="A local folder or a Hugging Face hub name; null trains a BERT from scratch"
    )
    pooling: Literal["mean", "cls"] = Field(description="Mean over the tokens, or the first token")
    max_tokens: int = Field(64, ge=3, description="Texts are truncated to this many tokens")
    width: int = Field(64, ge=1, description="Hidden size of a BERT from scratch")
    layers: int = Field(1, ge=1, le=100, description="Layers of a BERT from scratch")
    heads: int = Field(2, ge=1, description="Attention heads of a BERT from scratch; must divide `width`")

    @model_validator(mode="after")
    def _check_heads(self) -> "TextTower":
        if self.width % self.heads:
            raise invalid(f"must divide `width`, {self.width}", key="heads", value=self.heads)
        return self


class LocationTower(StrictModel):
    """The location tower of GeoCLOSP: spherical harmonics and a sinusoidal network (SatCLIP, arXiv 2311.17179)."""

    degrees: int = Field(10, ge=1, le=100, description="Degrees of the spherical harmonics: 0 .. degrees - 1")
    convention: Convention = Field(
        "orthonormal",
        description="Orthonormal real spherical harmonics, or those of SatCLIP's weights",
    )
    width: int = Field(512, ge=1, description="Width of the hidden layers")
    layers: int = Field(2, ge=1, le=100, description="Number of hidden layers")
    features: int = Field(256, ge=1, description="Width of the output")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before each sine; SatCLIP trained with 0.5")
    weights: str | None = Field(None, description="Pretrained weights: a file of SatCLIP or of GeoCLOSP")

    @model_validator(mode="after")
    def _check_convention(self) -> "LocationTower":
        if self.weights is not None and self.convention != "satclip-analytic":
            raise invalid("`weights` need `satclip-analytic`", key="convention", value=self.convention)
        return self


class Objective(StrictModel):
    """The contrastive loss."""

    targets: Targets = Field(
        description="Positives of a text: its own image, all images of its label set, or all by overlap of labels;"
        " `subset` replaces captions by names of some of an image's classes, drawn in each epoch, and has as positives"
        " all images with these classes"
    )
    overlap_power: float = Field(1.0, gt=0, description="With `targets: overlap`: exponent of the Jaccard index")
    scale: float = Field(gt=0, description="Initial factor of the cosines: the inverse of the temperature")
    learn_scale: bool = Field(description="Train the logarithm of the scale")
    max_scale: float = Field(100.0, gt=0, description="Upper bound of a learned scale, as in CLIP")
    location_weight: float = Field(1.0, ge=0, description="Weight of image-location beside image-text")
    location_km: float = Field(1.0, gt=0, description="Images at a distance of d km are positive by exp(-d / this)")
    pair_weight: float = Field(0.0, ge=0, description="Weight of Sentinel-1 against Sentinel-2 images of pairs")


class Budget(StrictModel):
    """Length of the training and parameters of the optimizer."""

    epochs: int = Field(ge=1, description="Passes over the images of the sensor with more of them")
    steps: int | None = Field(
        None, ge=1, description="Steps of the optimizer in place of `epochs`; the last epoch may end early"
    )
    batch: int = Field(ge=8, multiple_of=8, description="Images of each sensor per step; a multiple of 8")
    chunk: int | None = Field(
        None, ge=1, description="Images of each sensor in memory at once; a batch is embedded in chunks of this size"
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of a step on a CPU; null for one per core, which rounds by the number of cores"
    )
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are averaged before a step of the optimizer")
    learning_rate: float = Field(gt=0, description="Peak learning rate of AdamW")
    warmup: float = Field(0.3, ge=0, lt=1, description="Fraction of the steps in which the learning rate rises")
    start_divisor: float = Field(25.0, ge=1, description="The learning rate starts at the peak divided by this")
    end_divisor: float = Field(10_000.0, ge=1, description="The learning rate ends at its start divided by this")
    cycle_beta1: bool = Field(False, description="Move AdamW's beta1 from 0.95 to 0.85 while the rate rises, and back")
    weight_decay: float = Field(0.01, ge=0, description="Of matrices and kernels; not of biases, norms and the scale")
    max_grad_norm: float | None = Field(None, gt=0, description="Clip gradients to this norm")
    augment: Augmentation = Field(
        description="Change images at random in each epoch: mirror them, or also turn those of Sentinel-2 by quarters"
    )
    freeze: Literal["never", "first-epoch", "always"] = Field(
        "never", description="When the towers are frozen, so that only projections and scale learn"
    )
    alternate_sensors: bool = Field(False, description="A step of the optimizer for each sensor's images in turn")
    last_batch: Literal["drop", "keep"] = Field("drop", description="What becomes of an epoch's incomplete last batch")
    patience: int | None = Field(
        None, ge=1, description="Stop after this many epochs without a lower validation loss; null trains all epochs"
    )
    select: Literal["last", "best"] = Field(
        "last", description="Epoch whose weights stay: the last, or that of least validation loss"
    )

    def count_steps(self, per_epoch: int) -> int:
        """Steps of the training, with so many in an epoch."""
        return self.epochs * per_epoch if self.steps is None else self.steps


class ModelProfile(StrictModel):
    """Architecture, objective and training schedule of a model. A file may `extends` another and change single keys."""

    title: str = Field(description="Title for people")
    image: ImageTower = Field(description="Image towers")
    text: TextTower = Field(description="Text tower")
    location: LocationTower | None = Field(None, description="Location tower; null for CLOSP, which has none")
    dimensions: int = Field(ge=2, description="Dimensions of the space that images and texts share")
    style: str = Field("structured", description="Style of the captions to train on")
    lang: str = Field("en", description="Language of the captions to train on")
    objective: Objective = Field(description="Loss")
    budget: Budget = Field(description="Training schedule")
    caveats: tuple[str, ...] = Field((), description="Limits that a reader of the metrics should know")

    @model_validator(mode="after")
    def _check_style(self) -> "ModelProfile":
        if self.objective.targets == "subset" and self.style != "structured":
            problem = "texts of `objective.targets: subset` are in the style structured"
            raise invalid(problem, key="style", value=self.style)
        return self

    @model_validator(mode="after")
    def _check_pairs(self) -> "ModelProfile":
        if self.objective.pair_weight and self.budget.alternate_sensors:
            problem = "pairs need both sensors in a step; set `budget.alternate_sensors: false`"
            raise invalid(problem, key="objective.pair_weight", value=self.objective.pair_weight)
        return self


def load_profile(
    name: str, *, epochs: int | None = None, batch: int | None = None, text: str | None = None
) -> ModelProfile:
    """Load a profile by name or path, with the overrides of the command line.

    Args:
        name: Name or path.
        epochs: Replaces `budget.epochs`, and `budget.steps`.
        batch: Replaces `budget.batch`.
        text: Replaces `text.weights`.

    Raises:
        InputError: no such profile, or an invalid value.
    """
    profile = load_model(ModelProfile, "profiles/models", name)
    if text is not None and profile.text.weights is None:
        problem = f"model {name} trains its text tower from scratch"
        raise InputError(problem, file="--text", value=text, remedy="--model closp takes weights")
    changed: dict[str, Any] = profile.model_dump(mode="json")
    changed["budget"] |= {key: value for key, value in (("epochs", epochs), ("batch", batch)) if value is not None}
    changed["budget"] |= {} if epochs is None else {"steps": None}
    changed["text"] |= {} if text is None else {"weights": text}
    return parse_model(ModelProfile, changed, name)


def profile_reference() -> str:
    """Render the keys of model profiles."""
    return model_reference(ModelProfile, _HEADER)
