"""What a training starts from: annotations, pretrained weights, and statistics of the bands."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from landmark.config.profiles import SensorName, load_sensor
from landmark.core.errors import InputError, InsufficientData
from landmark.core.hashing import file_sha256, rank
from landmark.core.progress import Progress
from landmark.core.salts import TORCH
from landmark.corpus.reader import Corpus
from landmark.train.batches import SensorData
from landmark.train.checkpoint import Identity, Run, TensorFile, save_checkpoint
from landmark.train.dataset import (
    Annotations,
    StoredPixels,
    band_statistics,
    check_downsample,
    pixel_blocks,
    read_split_annotations,
)
from landmark.train.encoder import Encoder
from landmark.train.locations import check_pairs
from landmark.train.net import new_net
from landmark.train.profile import BandStatistics, ImageTower, ModelProfile
from landmark.train.text import build_vocabulary, resolve_weights, weights_file
from landmark.train.update_bound import budget_warnings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a training depends on, but for pixels.

    Attributes:
        train: Annotations of the train split by sensor.
        validation: Of the val split; empty where it cannot be used and the profile does not need it.
        text_folder: Folder of the pretrained text tower; None for one from scratch.
        identity: Digests of all.
    """

    train: Mapping[str, Annotations]
    validation: Mapping[str, Annotations]
    text_folder: Path | None
    identity: Identity


def read_train_annotations(
    corpus: Corpus, profile: ModelProfile, sensors: Sequence[str] | None = None
) -> dict[str, Annotations]:
    """Annotations of the train split by sensor, of all sensors of the corpus or of some, in the corpus's order.

    Raises:
        InputError: `sensors` names one that the corpus has not; or `image.downsample` does not divide the image size.
        InsufficientData: no sample of one of `sensors`, too few for a batch, only one label set, no label, or too few
            pairs for a loss of pairs.
    """
    known = corpus.manifest.sensors
    for sensor in sensors or ():
        if sensor not in known:
            problem, remedy = "the corpus has no such sensor", f"give some of {', '.join(known)}"
            raise InputError(problem, file="--sensors", value=sensor, remedy=remedy)
    chosen = [sensor for sensor in known if sensors is None or sensor in sensors]
    annotations = read_split_annotations(corpus, profile, "train", chosen)
    for sensor in sensors or ():
        if sensor not in annotations:
            raise InsufficientData("no sample of this sensor in the train split", file=corpus.root, key=sensor)
    check_trainable(corpus, profile, annotations)
    check_pairs(corpus.select(split="train"), profile, list(annotations))
    return annotations


def check_trainable(corpus: Corpus, profile: ModelProfile, annotations: Mapping[str, Annotations]) -> None:
    """Check that a model can be trained on a train split with these annotations.

    Raises:
        InsufficientData: too few samples for a batch, or only one label set.
        InputError: `image.downsample` does not divide the image size.
    """
    check_downsample(corpus, profile.image)
    for sensor, own in annotations.items():
        count = len(own.ids)
        if count < profile.budget.batch:
            raise InsufficientData(
                f"{count} {sensor} samples in the train split do not fill a batch of {profile.budget.batch}",
                file=corpus.root,
                key="budget.batch",
                value=profile.budget.batch,
                remedy=f"give --batch {count - count % 8} or less" if count >= 8 else None,
            )
        if len(set(own.labels)) < 2:
            problem = f"all {sensor} samples of the train split have the same labels, so there is nothing to learn"
            raise InsufficientData(problem, file=corpus.root, key="labels", value=sorted(own.labels[0]))


def read_inputs(corpus: Corpus, profile: ModelProfile, *, seed: int, sensors: Sequence[str] | None) -> Inputs:
    """Read what a training depends on, but for pixels.

    Raises:
        InsufficientData, InputError: the corpus, the profile or its weights cannot be trained with.
    """
    train = read_train_annotations(corpus, profile, sensors)
    validation = _read_validation_annotations(corpus, profile, list(train))
    text_folder = resolve_weights(profile.text.weights) if profile.text.weights else None
    identity = Identity(
        content_digest=corpus.content_digest,
        model=profile,
        seed=seed,
        sensors=[load_sensor(name).name for name in train],
        weights_sha256=_weights_checksums(profile, text_folder),
    )
    return Inputs(train, validation, text_folder, identity)


def _read_validation_annotations(
    corpus: Corpus, profile: ModelProfile, sensors: Sequence[str]
) -> dict[str, Annotations]:
    """Annotations of the val split by sensor; empty where it cannot be used and the profile does not need it.

    Raises:
        InsufficientData: it cannot be used, and the profile stops by it or selects weights by it.
    """
    try:
        annotations = read_split_annotations(corpus, profile, "val", sensors)
        if max(len(own.ids) for own in annotations.values()) < 2:
            problem = "one sample has nothing to be compared with, so that its loss is 0"
            raise InsufficientData(problem, file=corpus.root, key="split", value="val")
        return annotations
    except InsufficientData as error:
        if profile.budget.patience is None and profile.budget.select == "last":
            return {}
        error.remedy = (
            f"{error.remedy or 'build the corpus with a val split'}, or set `budget.select: last` without `patience`"
        )
        raise


def _weights_checksums(profile: ModelProfile, text_folder: Path | None) -> dict[str, str]:
    """Key of the profile → SHA-256 of the pretrained weights that it names."""
    paths = {f"image.weights.{sensor}": path for sensor, path in profile.image.weights.items()}
    if profile.location is not None and profile.location.weights is not None:
        paths["location.weights"] = profile.location.weights
    files = {key: Path(path).expanduser() for key, path in paths.items()}
    for key, file in files.items():
        if not file.is_file():
            raise InputError("no such file", file=file, key=key)
    if text_folder is not None:
        files["text.weights"] = weights_file(text_folder)
    return {key: file_sha256(file) for key, file in files.items()}


def measure_statistics(
    corpus: Corpus, tower: ImageTower, annotations: Mapping[str, Annotations], progress: Progress
) -> dict[SensorName, list[BandStatistics]]:
    """Statistics of each sensor's bands, from all pixels of the train split."""
    statistics = {}
    for name, own in annotations.items():
        sensor, blocks = load_sensor(name), pixel_blocks(corpus.select(split="train", sensor=name), tower)
        reported = _report_blocks(blocks, name, len(own.ids), progress)
        statistics[sensor.name] = band_statistics(reported, sensor)
    return statistics


def _report_blocks(
    blocks: Iterable[StoredPixels], sensor: str, count: int, progress: Progress
) -> Iterator[StoredPixels]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        progress(f"statistics {sensor}", done, count)


def add_statistics(
    annotations: Mapping[str, Annotations], statistics: Mapping[SensorName, Sequence[BandStatistics]]
) -> dict[str, SensorData]:
    """Annotations and statistics of each sensor."""
    return {name: SensorData(own, statistics[load_sensor(name).name]) for name, own in annotations.items()}


def validation_profile(profile: ModelProfile) -> ModelProfile:
    """The model for batches of the val split: upright images, the last batch, and no places, as queries use none."""
    budget = profile.budget.model_copy(update={"augment": "none", "last_batch": "keep"})
    return profile.model_copy(update={"budget": budget, "location": None})


def torch_seed(seed: int, purpose: str, *numbers: int) -> int:
    """Seed of PyTorch's generator for a purpose and numbers such as the step; a resumed training has the same."""
    return rank(seed, TORCH, purpose, *map(str, numbers)) >> 1


def new_run(corpus: Corpus, folder: Path, inputs: Inputs, progress: Progress) -> Run:
    """Initialise a net, measure the statistics of the bands, and write the run at step 0.

    Raises:
        InputError: pretrained weights are unreadable or of another architecture; no pixel was read.
    """
    profile = inputs.identity.model
    torch.manual_seed(torch_seed(inputs.identity.seed, "init"))
    captions = (caption for own in inputs.train.values() for caption in own.captions)
    vocabulary = build_vocabulary(captions) if inputs.text_folder is None else []
    net, tokenize = new_net(profile, list(inputs.train), vocabulary=vocabulary, text_folder=inputs.text_folder)
    warnings = budget_warnings(net, profile, images=max(len(own.ids) for own in inputs.train.values()))
    for warning in warnings:
        log.warning("%s", warning)
    statistics = measure_statistics(corpus, profile.image, inputs.train, progress)
    of_sensors = {name: statistics[load_sensor(name).name] for name in net.sensors}
    Encoder(net, tokenize, profile, of_sensors).save_config(folder)
    run = Run(
        identity=inputs.identity,
        corpus=corpus.manifest.name,
        step=0,
        statistics=statistics,
        warnings=warnings,
        # Replaced by `save_checkpoint`.
        weights=TensorFile(path="model.safetensors", sha256=""),
        history=[],
    )
    return save_checkpoint(folder, run, net, None)
