"""Corpus → trained CLOSP: a plain loop whose state is the number of its step."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from landmark.config.profiles import load_sensor
from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.errors import Diverged, InputError, InsufficientData
from landmark.core.hashing import file_sha256
from landmark.corpus.reader import Corpus
from landmark.train import dataset as feed
from landmark.train.batches import Batch, Batches, Lesson, steps_per_epoch
from landmark.train.checkpoint import Epoch, File, Identity, Run, load_state, save, standing
from landmark.train.closp import Closp
from landmark.train.dataset import Progress, Texts
from landmark.train.loss import contrast, similarity
from landmark.train.net import keep_text, new_net, pick_device, stored_net
from landmark.train.profile import Model, Objective
from landmark.train.schedule import learning_rate, torch_seed
from landmark.train.text import vocabulary_of, weights_file, weights_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """A training as a person asks for it.

    Attributes:
        out: Run folder.
        device: auto, cpu or cuda.
        save_every: Steps between checkpoints inside an epoch; 0 keeps to the ends of epochs.
        arm: Whose captions are learnt; `real` are the corpus's own.
        texts: Of a control, per sensor, in place of the corpus's own.
        pixels: Folder of the decoded pixels, kept when the training ends; None decodes into `out` for as long as it
            lasts.
        progress: Told stage, done, of, and how the loss goes.
    """

    model: Model
    out: Path
    seed: int = 0
    device: str = "auto"
    save_every: int = 0
    arm: str = "real"
    texts: Mapping[str, Texts] | None = None
    pixels: Path | None = None
    progress: Progress = feed.silent


def train(corpus: Corpus, wanted: Training) -> Run:
    """A finished training in `wanted.out`: started, resumed, or found finished.

    On one machine's processor, with the same number of threads, the weights depend on corpus, model and seed alone,
    however often the training was interrupted.

    Raises:
        InsufficientData, InputError, RunMismatch, InvalidRun: refused; the folder is as it was.
        Diverged: the loss is no number any more (exit 1).
    """
    model, device = wanted.model, pick_device(wanted.device)
    texts = wanted.texts or train_texts(corpus, model)
    check_trainable(corpus, model, texts)
    folder = weights_folder(model.text.weights) if model.text.weights else None
    identity = _identity(corpus, wanted, folder)
    with folder_lock(wanted.out):
        run = standing(wanted.out, identity)
        remove_partials(wanted.out)
        if run is not None and run.finished:
            log.info("%s is trained already", wanted.out)
            feed.discard(wanted.out)
            return run
        with torch.random.fork_rng():
            loop = _loop(corpus, wanted, identity, texts=texts, run=run, folder=folder, device=device)
            return loop.go()


def train_texts(corpus: Corpus, model: Model, split: str = "train") -> dict[str, Texts]:
    """What is said of a split's samples, for each sensor it has.

    Raises:
        InsufficientData: the split is empty, or samples have no label or no caption.
    """
    selections = {sensor: corpus.select(split=split, sensor=sensor) for sensor in corpus.manifest.sensors}
    texts = {name: feed.read_texts(one, model.style, model.lang) for name, one in selections.items() if len(one)}
    if not texts:
        raise InsufficientData(f"{corpus.root} has no sample in its {split} split")
    return texts


def _loop(
    corpus: Corpus,
    wanted: Training,
    identity: Identity,
    *,
    texts: Mapping[str, Texts],
    run: Run | None,
    folder: Path | None,
    device: torch.device,
) -> "_Loop":
    """A training before its first step, or where its last checkpoint left it."""
    torch.manual_seed(torch_seed(wanted.seed, "init"))
    vocabulary = [] if folder else vocabulary_of(one for said in texts.values() for one in said.captions)
    # Weights that cannot be read are refused here, before a pixel is decoded.
    if run is None:
        net, tokenize = new_net(wanted.model, list(texts), vocabulary=vocabulary, folder=folder)
    else:
        net, tokenize = stored_net(wanted.out, run)
    if folder is not None and run is None:
        keep_text(folder, wanted.out / "text")
    lessons = _lessons(corpus, wanted, texts, run)
    run = run or _first(corpus, identity, lessons, vocabulary)
    return _Loop(wanted, run, net, Batches(lessons, wanted.model, seed=wanted.seed, tokenize=tokenize), device)


class _Loop:
    """A training under way: net, optimizer, and what to write down of them."""

    def __init__(self, wanted: Training, run: Run, net: Closp, batches: Batches, device: torch.device) -> None:
        self._wanted, self._model, self._device = wanted, wanted.model, device
        self._run, self._net, self._batches = run, net.to(device).train(), batches
        budget = wanted.model.budget
        self._optimizer = torch.optim.AdamW(net.parameters(), lr=budget.rate, weight_decay=budget.weight_decay)
        if run.state is not None:
            load_state(wanted.out, run, net, self._optimizer)

    def go(self) -> Run:
        """Every step that is left, then the finished run."""
        history, losses = list(self._run.history), list(self._run.losses)
        for step in range(self._run.step, self._run.steps):
            loss, rate = self._step(step)
            losses.append(loss)
            done = step + 1
            if done % self._batches.per_epoch == 0:
                scale = float(self._net.scale.detach())
                history.append(Epoch(step=done, loss=sum(losses) / len(losses), rate=rate, scale=scale))
                losses = []
            if not losses or (self._wanted.save_every and done % self._wanted.save_every == 0):
                self._save(done, history, losses)
            remark = f"loss {loss:.3f}, learning rate {rate:.2e}"
            self._wanted.progress("train", done, self._run.steps, remark)
        if self._wanted.pixels is None:
            feed.discard(self._wanted.out)
        return self._run

    def _step(self, step: int) -> tuple[float, float]:
        """Learn from one batch: loss and learning rate."""
        budget = self._model.budget
        rate = learning_rate(step, self._run.steps, peak=budget.rate, warmup=budget.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(torch_seed(self._wanted.seed, "step", step=step))
        loss = batch_loss(self._net, self._batches.at(step), self._model.objective, self._device)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), budget.max_norm or math.inf)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise Diverged(
                f"{self._wanted.out}: at step {step + 1} of {self._run.steps}, learning rate {rate:.3g}, the loss is"
                f" {float(loss.detach()):.3g} and its gradient {float(norm):.3g}; the last checkpoint stands: lower"
                " `budget.rate` or set `budget.max_norm`, with another --out"
            )
        self._optimizer.step()
        self._net.hold_scale()
        return float(loss.detach()), rate

    def _save(self, step: int, history: list[Epoch], losses: list[float]) -> None:
        reached = self._run.model_copy(update={"step": step, "history": history, "losses": losses})
        self._run = save(self._wanted.out, reached, self._net, None if reached.finished else self._optimizer)


def batch_loss(net: Closp, batch: Batch, objective: Objective, device: torch.device) -> Tensor:
    """The mean of the sensors' losses; negatives come from the same sensor alone."""
    texts = net.embed_texts(batch.ids.to(device), batch.mask.to(device))
    losses = []
    for sensor, pixels in batch.images.items():
        likeness = similarity(batch.labels[sensor].to(device), objective.targets, objective.overlap_power)
        images = net.embed_images(sensor, pixels.to(device))
        losses.append(contrast(images, texts[batch.place[sensor].to(device)], likeness, net.scale))
    return torch.stack(losses).mean()


def check_trainable(corpus: Corpus, model: Model, texts: Mapping[str, Texts]) -> None:
    """See that a model can learn from a train split, of which `texts` is said.

    Raises:
        InsufficientData: too few samples for a batch, or all of one label set.
        InputError: images the model cannot average.
    """
    feed.check_size(corpus, model.image)
    for sensor, said in texts.items():
        if len(said.ids) < model.budget.batch:
            raise InsufficientData(
                f"{corpus.root}: {len(said.ids)} {sensor} samples in the train split do not fill a batch of"
                f" {model.budget.batch}; give --batch {len(said.ids)} or less"
            )
        if len(set(said.labels)) < 2:
            raise InsufficientData(
                f"{corpus.root}: all {sensor} samples of the train split carry {sorted(said.labels[0])}: with nothing"
                " to tell apart there is nothing to learn"
            )


def _identity(corpus: Corpus, wanted: Training, folder: Path | None) -> Identity:
    images = {name: Path(path).expanduser() for name, path in wanted.model.image.weights.items()}
    if gone := [str(path) for path in images.values() if not path.is_file()]:
        raise InputError(f"`image.weights`: {gone[0]}: no such file")
    return Identity(
        content=corpus.manifest.content_digest,
        model=wanted.model,
        seed=wanted.seed,
        text_sha256=file_sha256(weights_file(folder)) if folder else None,
        image_sha256={name: file_sha256(path) for name, path in images.items()},
        arm=wanted.arm,
    )


def _lessons(corpus: Corpus, wanted: Training, texts: Mapping[str, Texts], run: Run | None) -> dict[str, Lesson]:
    """Pixels decoded, or found decoded, and their statistics measured, or taken from the run."""
    store, lessons = wanted.pixels or wanted.out, {}
    for name, said in texts.items():
        selection = corpus.select(split="train", sensor=name)
        pixels = feed.decoded(selection, wanted.model, sensor=name, folder=store, progress=wanted.progress)
        known = run.statistics.get(load_sensor(name).name) if run else None
        lessons[name] = Lesson(pixels, said, known or feed.measure(pixels, load_sensor(name)))
    return lessons


def _first(corpus: Corpus, identity: Identity, lessons: Mapping[str, Lesson], vocabulary: list[str]) -> Run:
    """The run before its first step."""
    names, budget = [load_sensor(name).name for name in lessons], identity.model.budget
    return Run(
        identity=identity,
        corpus=corpus.manifest.name,
        sensors=names,
        step=0,
        steps=budget.epochs * steps_per_epoch(lessons, budget.batch),
        statistics={name: list(lessons[name].statistics) for name in names},
        vocabulary=vocabulary,
        weights=File(path="", sha256=""),
        state=None,
        history=[],
        losses=[],
    )
