"""A trained model with all it needs to embed images and texts, and its folder.

A folder holds `config.json` (profile, dimensions of the text tower, band statistics), `tokenizer.json` and
`model.safetensors`. A finished run folder is such a folder, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from landmark.config.profiles import SensorName, load_sensor
from landmark.core.atomic import make_folders, write_bytes
from landmark.core.corpus_paths import readable
from landmark.core.errors import InputError, InvalidRun, invalid
from landmark.core.yaml_files import StrictModel, parse_model
from landmark.domain.taxonomy import Taxonomy
from landmark.loader.resize import block_mean
from landmark.train.checkpoint import Run, read_tensors, write_tensors
from landmark.train.closp import Closp
from landmark.train.dataset import BLOCK, StoredPixels, model_input
from landmark.train.net import new_net, pick_device
from landmark.train.profile import BandStatistics, ModelProfile
from landmark.train.queries import canonical_queries
from landmark.train.text import Tokenizer, read_json, read_tokenizer
from landmark.train.towers.bert import Bert, BertConfig
from landmark.train.weights import load_tower

_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


class EncoderConfig(StrictModel):
    """`config.json`."""

    format: Literal[1] = 1
    profile: ModelProfile = Field(description="The model, without the paths of weights that its training started from")
    text: BertConfig
    sensors: tuple[SensorName, ...] = Field(min_length=1)
    statistics: dict[SensorName, tuple[BandStatistics, ...]] = Field(description="Of the bands in the train split")

    @model_validator(mode="after")
    def _check_statistics(self) -> "EncoderConfig":
        for sensor in self.sensors:
            bands, count = len(load_sensor(sensor).order), len(self.statistics.get(sensor, ()))
            if count != bands:
                raise invalid(f"must list {bands} bands", key=f"statistics.{sensor}", value=count)
        return self


@dataclass(frozen=True, slots=True)
class Encoder:
    """Embeds images and texts as unit vectors, whose dot products are cosines.

    Attributes:
        net: The model.
        tokenize: Tokenizer of its text tower.
        profile: Its profile.
        statistics: Sensor → mean and deviation of each band, by which images are standardised.
    """

    net: Closp
    tokenize: Tokenizer
    profile: ModelProfile
    statistics: Mapping[str, Sequence[BandStatistics]]

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str = "auto", *, run: Run | None = None) -> "Encoder":
        """Load a folder of `save_pretrained`, or of a run.

        Args:
            folder: The folder.
            device: auto, cpu or cuda.
            run: The `run.json` of the folder, which names the weights; by default they are `model.safetensors`.

        Raises:
            InvalidRun: a file is missing, damaged, or of another model.
        """
        folder = Path(folder)
        config = _read_config(folder)
        if run is not None:
            _check_run(config, run, folder)
        try:
            tokenize = read_tokenizer(folder, config.text, config.profile.text.max_tokens)
        except InputError as error:
            raise InvalidRun(error.problem, file=error.file) from error
        net = _empty_net(config, folder / _CONFIG)
        name, file = (_WEIGHTS, _WEIGHTS) if run is None else (run.weights.path, run.weights)
        _load_weights(net, read_tensors(folder, file), folder / name)
        statistics: dict[str, Sequence[BandStatistics]] = {name: config.statistics[name] for name in config.sensors}
        return cls(net.to(pick_device(device)).eval(), tokenize, config.profile, statistics)

    @classmethod
    def from_published(
        cls, file: Path | str, profile: ModelProfile, text_folder: Path | str, device: str = "auto"
    ) -> "Encoder":
        """Load a published checkpoint of CLOSP or GeoCLOSP.

        Args:
            file: The checkpoint, with towers of both sensors.
            profile: Its architecture, such as `closp-paper`.
            text_folder: Folder of all-MiniLM-L6-v2, for the tokenizer.
            device: auto, cpu or cuda.

        Raises:
            InputError: unreadable, or of another architecture.
        """
        profile = _without_weights(profile)
        net, tokenize = new_net(profile, ["s1", "s2"], vocabulary=[], text_folder=Path(text_folder))
        # Its scale is a constant.
        load_tower(net, Path(file), key="weights", optional={"logit_scale"})
        # Its S1 images have this value where there is no data.
        nodata = BandStatistics(mean=1e-6, std=1)
        statistics = {sensor: [nodata] * len(load_sensor(sensor).order) for sensor in net.sensors}
        return cls(net.to(pick_device(device)).eval(), tokenize, profile, statistics)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors whose images it embeds."""
        return self.net.sensors

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.net.logit_scale.device

    def encode_images(self, sensor: str, stored: StoredPixels) -> NDArray[np.float32]:
        """Unit vectors (n, d) of images of one sensor, as a corpus has them: stored integers (n, band, y, x) at 10 m.

        Raises:
            InputError: a sensor that the model does not have, or images of another shape or type.
        """
        profile = load_sensor(self._check_sensor(sensor))
        bands, factor = len(profile.order), self.profile.image.downsample
        edges_fit = all(edge > 0 and edge % factor == 0 for edge in stored.shape[2:])
        fits = stored.ndim == 4 and stored.shape[1] == bands and edges_fit
        if not fits or stored.dtype != profile.dtype:
            problem = f"images of {sensor} are {profile.dtype} (n, {bands}, y, x), y and x multiples of {factor}"
            raise InputError(problem, key="stored", value=f"{stored.dtype} {stored.shape}")
        blocks = (stored[start : start + BLOCK] for start in range(0, len(stored), BLOCK))
        vectors = [self.encode_downsampled(sensor, _downsample(block, factor, profile.nodata)) for block in blocks]
        return np.concatenate([self._no_vectors(), *vectors])

    @torch.inference_mode()
    def encode_downsampled(self, sensor: str, stored: StoredPixels) -> NDArray[np.float32]:
        """The same of few images that are already averaged over squares of `image.downsample` pixels."""
        tower, statistics = self.profile.image, self.statistics[sensor]
        images = model_input(stored, load_sensor(sensor), tower=tower, statistics=statistics, device=self.device)
        return _to_numpy(self.net.encode_image(sensor, images))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (text, d) of texts.

        Raises:
            InputError: `texts` is one text.
        """
        _check_texts(texts)
        vectors = [self._no_vectors()]
        for start in range(0, len(texts), BLOCK):
            token_ids, mask = self.tokenize(texts[start : start + BLOCK])
            vectors.append(_to_numpy(self.net.encode_text(token_ids.to(self.device), mask.to(self.device))))
        return np.concatenate(vectors)

    def encode_queries(self, queries: Sequence[str], taxonomy: Taxonomy) -> NDArray[np.float32]:
        """Unit vectors (query, d) of queries, whose words for classes become those of the model's captions.

        Raises:
            InputError: `queries` is one text.
        """
        _check_texts(queries)
        return self.encode_texts(canonical_queries(queries, taxonomy, self.profile.lang, self.profile.style))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the model to a folder, which is made unless it exists; `from_pretrained` gives the same model."""
        self.save_config(Path(folder))
        write_tensors(Path(folder) / _WEIGHTS, self.net.state_dict())

    def save_config(self, folder: Path) -> None:
        """Write all but the weights."""
        config = EncoderConfig(
            profile=_without_weights(self.profile),
            text=self.net.text_model.config,
            sensors=self.sensors,
            statistics={sensor: tuple(self.statistics[sensor]) for sensor in self.sensors},
        )
        make_folders(folder)
        self.tokenize.save(folder / _TOKENIZER)
        write_bytes(folder / _CONFIG, config.model_dump_json(indent=1).encode())

    def _check_sensor(self, sensor: str) -> str:
        if sensor not in self.sensors:
            raise InputError(f"the model has no such sensor, but {', '.join(self.sensors)}", key="sensor", value=sensor)
        return sensor

    def _no_vectors(self) -> NDArray[np.float32]:
        return np.zeros((0, self.profile.dimensions), dtype=np.float32)


def _check_texts(texts: Sequence[str]) -> None:
    """Refuse a text in place of a list of them: its letters would be texts."""
    if isinstance(texts, str):
        raise InputError("must be a list of texts", key="texts", value=texts)


def is_pretrained(folder: Path) -> bool:
    """Whether a folder holds a model without the run that trained it."""
    return (folder / _CONFIG).is_file() and not (folder / "run.json").exists()


def _read_config(folder: Path) -> EncoderConfig:
    path = readable(folder, _CONFIG)
    try:
        return parse_model(EncoderConfig, read_json(path), path, strict=True)
    except InputError as error:
        remedy = "name a run folder, or one of `save_pretrained`"
        raise InvalidRun(error.problem, file=path, key=error.key, value=error.value, remedy=remedy) from error


def _check_run(config: EncoderConfig, run: Run, folder: Path) -> None:
    """Check that `config.json` is of the same training as `run.json`.

    Raises:
        InvalidRun: it is of another.
    """
    statistics = {sensor: tuple(bands) for sensor, bands in run.statistics.items()}
    expected = _without_weights(run.identity.model), tuple(run.sensors), statistics
    if (config.profile, config.sensors, config.statistics) != expected:
        remedy = f"delete {folder} to train from the start"
        raise InvalidRun("is of another training than run.json", file=folder / _CONFIG, remedy=remedy)


def _empty_net(config: EncoderConfig, path: Path) -> Closp:
    """The net of a `config.json` on `meta`: nothing is allocated or initialised before the weights are known to fit.

    Raises:
        InvalidRun: its dimensions are too large.
    """
    try:
        with torch.device("meta"):
            return Closp(config.profile, config.sensors, Bert(config.text))
    except (RuntimeError, TypeError, OverflowError) as error:
        raise InvalidRun(f"no model has these dimensions: {str(error).splitlines()[0]}", file=path) from error


def _load_weights(net: Closp, tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Replace the tensors of a net by others, in its precision.

    Raises:
        InvalidRun: they are of another model.
    """
    expected, problem = net.state_dict(), "not the weights of this model"
    for name in expected.keys() & tensors.keys():
        if expected[name].is_floating_point() and not tensors[name].is_floating_point():
            raise InvalidRun(f"{problem}: {name} is of {tensors[name].dtype}", file=file)
    # Copies, as the file is mapped into memory and may be replaced.
    copies = {name: tensor.to(expected.get(name, tensor).dtype, copy=True) for name, tensor in tensors.items()}
    try:
        net.load_state_dict(copies, assign=True)
    except RuntimeError as error:
        raise InvalidRun(f"{problem}: {str(error).splitlines()[-1].strip()}", file=file) from error


def _without_weights(profile: ModelProfile) -> ModelProfile:
    """The profile without paths and names of weights, which are those of the training's machine."""
    parts: dict[str, Any] = {
        "image": profile.image.model_copy(update={"weights": {}}),
        "text": profile.text.model_copy(update={"weights": None}),
    }
    if profile.location is not None:
        parts["location"] = profile.location.model_copy(update={"weights": None})
    return profile.model_copy(update=parts)


def _downsample(stored: StoredPixels, factor: int, nodata: int) -> StoredPixels:
    """Means over squares of pixels of images (n, band, y, x), as the loader makes them."""
    if factor == 1:
        return stored
    n, bands, rows, columns = stored.shape
    reduced = np.empty((n, bands, rows // factor, columns // factor), dtype=stored.dtype)
    block_mean(stored, factor, nodata, reduced)
    return reduced


def _to_numpy(vectors: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = vectors.float().cpu().numpy()
    return array
