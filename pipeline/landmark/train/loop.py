"""Train CLOSP: a plain loop whose only state beside net and optimizer is step number and the loader's position."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from landmark.config.profiles import load_sensor
from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import Diverged, InputError, InsufficientData, StateMismatch
from landmark.core.hashing import file_sha256
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, Batches, SensorData, steps_per_epoch
from landmark.train.checkpoint import (
    EpochRecord,
    Identity,
    Run,
    TensorFile,
    find_run,
    load_optimizer,
    remove_superseded,
    save_checkpoint,
)
from landmark.train.closp import Closp
from landmark.train.dataset import (
    Annotations,
    StoredPixels,
    band_statistics,
    check_downsample,
    pixel_blocks,
    read_split_annotations,
)
from landmark.train.gradients import compute_gradients, parallel
from landmark.train.net import copy_tokenizer, load_net, new_net, pick_device
from landmark.train.optimizer import new_optimizer, set_rate
from landmark.train.profile import ModelProfile
from landmark.train.schedule import torch_seed
from landmark.train.text import build_vocabulary, resolve_weights, weights_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Parameters of a training.

    Attributes:
        profile: The model.
        out: Run folder.
        seed: Seed of initialisation, order, augmentation and dropout.
        device: auto, cpu or cuda.
        save_every: Steps between checkpoints inside an epoch; 0 saves at the ends of epochs only.
        progress: Receives steps done, with loss and learning rate as detail.
    """

    profile: ModelProfile
    out: Path
    seed: int = 0
    device: str = "auto"
    save_every: int = 0
    progress: Progress = silent


def train(corpus: Corpus, config: TrainingConfig) -> Run:
    """Start, resume or find a training in `config.out`, and return the finished run.

    On one machine's CPU, with the same number of threads, the weights depend on corpus, model and seed only, however
    often the training was interrupted.

    Raises:
        InsufficientData, InputError, RunMismatch, InvalidRun, StateMismatch: refused; the folder is unchanged.
        Diverged: the loss became NaN or infinite.
    """
    profile, device = config.profile, pick_device(config.device)
    annotations = read_split_annotations(corpus, profile)
    check_trainable(corpus, profile, annotations)
    text_folder = resolve_weights(profile.text.weights) if profile.text.weights else None
    identity = _identify(corpus, config, text_folder)
    with folder_lock(config.out):
        run = find_run(config.out, identity)
        refuse_links(config.out)
        remove_partials(config.out)
        if run is not None and run.finished:
            log.info("%s: already trained", config.out)
            remove_superseded(config.out, run)
            return run
        with torch.random.fork_rng():
            torch.manual_seed(torch_seed(config.seed, "init"))
            vocabulary: list[str] = []
            # Nets come before pixels: unreadable weights are refused before all pixels are read.
            if run is not None:
                net, tokenize = load_net(config.out, run)
            else:
                if text_folder is None:
                    captions = (caption for sensor in annotations.values() for caption in sensor.captions)
                    vocabulary = build_vocabulary(captions)
                net, tokenize = new_net(profile, list(annotations), vocabulary=vocabulary, text_folder=text_folder)
                if text_folder is not None:
                    copy_tokenizer(text_folder, config.out / "text")
            data = _load_data(corpus, config, annotations, run)
            run = run or _new_run(corpus, identity, data, vocabulary)
            batches = Batches(corpus, data, profile, seed=config.seed, tokenize=tokenize)
            if run.loader is not None:
                try:
                    batches.loader.load_state_dict(run.loader)
                except StateMismatch as error:
                    error.file = str(config.out / "run.json")
                    raise
            return _Trainer(config, run, net, batches, device).fit()


class _Trainer:
    """A training in progress: net, optimizer and the run to write."""

    def __init__(self, config: TrainingConfig, run: Run, net: Closp, batches: Batches, device: torch.device) -> None:
        self._config, self._profile, self._device = config, config.profile, device
        self._run, self._net, self._batches = run, net.to(device).train(), batches
        self._per_epoch = run.steps // config.profile.budget.epochs
        budget = config.profile.budget
        self._model = parallel(net, None)
        self._optimizer = new_optimizer(net, budget)
        if run.optimizer is not None:
            load_optimizer(config.out, run, net, self._optimizer)

    def fit(self) -> Run:
        """Do the remaining steps and return the finished run."""
        history, losses = list(self._run.history), list(self._run.losses)
        for step, batch in zip(range(self._run.step, self._run.steps), self._batches, strict=False):
            loss, rate = self._step(step, batch)
            losses.append(loss)
            done = step + 1
            if done % self._per_epoch == 0:
                scale, mean = float(self._net.scale.detach()), sum(losses) / len(losses)
                history.append(EpochRecord(step=done, loss=mean, learning_rate=rate, scale=scale))
                losses = []
            if not losses or (self._config.save_every and done % self._config.save_every == 0):
                self._save(done, history, losses)
            self._config.progress("train", done, self._run.steps, f"loss {loss:.3f}, learning rate {rate:.2e}")
        return self._run

    def _step(self, step: int, batch: Batch) -> tuple[float, float]:
        """Do one optimizer step; return loss and learning rate."""
        budget = self._profile.budget
        rate = set_rate(self._optimizer, budget, step, self._run.steps)
        self._optimizer.zero_grad()
        seed = self._config.seed
        loss = compute_gradients(
            self._model, [batch], self._profile, seeds=lambda chunk: torch_seed(seed, "step", step, chunk)
        )
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), budget.max_grad_norm or math.inf)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise Diverged(
                f"diverged at step {step + 1} of {self._run.steps} with learning rate {rate:.3g}: loss"
                f" {float(loss.detach()):.3g}, gradient norm {float(norm):.3g}; the last checkpoint is intact",
                file=self._config.out,
                key="budget.learning_rate",
                value=budget.learning_rate,
                remedy="lower `budget.learning_rate` or set `budget.max_grad_norm`, with another --out",
            )
        self._optimizer.step()
        self._net.clamp_scale()
        return float(loss.detach()), rate

    def _save(self, step: int, history: list[EpochRecord], losses: list[float]) -> None:
        loader = self._batches.loader.state_dict()
        run = self._run.model_copy(update={"step": step, "loader": loader, "history": history, "losses": losses})
        self._run = save_checkpoint(self._config.out, run, self._net, None if run.finished else self._optimizer)


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


def _identify(corpus: Corpus, config: TrainingConfig, text_folder: Path | None) -> Identity:
    image_weights = {name: Path(path).expanduser() for name, path in config.profile.image.weights.items()}
    for sensor, path in image_weights.items():
        if not path.is_file():
            raise InputError("no such file", file=path, key=f"image.weights.{sensor}")
    return Identity(
        content_digest=corpus.manifest.content_digest,
        model=config.profile,
        seed=config.seed,
        text_sha256=file_sha256(weights_file(text_folder)) if text_folder else None,
        image_sha256={name: file_sha256(path) for name, path in image_weights.items()},
    )


def _load_data(
    corpus: Corpus, config: TrainingConfig, annotations: Mapping[str, Annotations], run: Run | None
) -> dict[str, SensorData]:
    """Annotations with band statistics: computed from all pixels of the train split, or taken from the run."""
    data = {}
    for name, own in annotations.items():
        sensor, selection = load_sensor(name), corpus.select(split="train", sensor=name)
        statistics = run.statistics.get(sensor.name) if run else None
        if statistics is None:
            blocks = _report_blocks(pixel_blocks(selection, config.profile.image), name, len(own.ids), config.progress)
            statistics = band_statistics(blocks, sensor)
        data[name] = SensorData(own, statistics)
    return data


def _report_blocks(
    blocks: Iterable[StoredPixels], sensor: str, count: int, progress: Progress
) -> Iterator[StoredPixels]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        progress(f"statistics {sensor}", done, count)


def _new_run(corpus: Corpus, identity: Identity, data: Mapping[str, SensorData], vocabulary: list[str]) -> Run:
    """The run at step 0."""
    names, budget = [load_sensor(name).name for name in data], identity.model.budget
    return Run(
        identity=identity,
        corpus=corpus.manifest.name,
        sensors=names,
        step=0,
        steps=budget.epochs * steps_per_epoch({name: data[name].annotations for name in names}, budget.batch),
        statistics={name: list(data[name].statistics) for name in names},
        vocabulary=vocabulary,
        # Replaced by the first checkpoint.
        weights=TensorFile(path="model.safetensors", sha256=""),
        optimizer=None,
        history=[],
        losses=[],
    )
