"""Train CLOSP and GeoCLOSP: a plain loop, whose state is in the checkpoints of `landmark.train.checkpoint`."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from landmark.core.atomic import folder_lock, remove_partials
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import Diverged, StateMismatch
from landmark.core.progress import Progress, silent
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, Batches
from landmark.train.checkpoint import (
    EpochRecord,
    Run,
    best_epoch,
    find_run,
    load_optimizer,
    load_weights,
    out_of_patience,
    remove_superseded,
    save_checkpoint,
    save_result,
)
from landmark.train.distributed import World, check_ranks, join
from landmark.train.encoder import Encoder
from landmark.train.gradients import compute_gradients, parallel, split_sensors
from landmark.train.loss import closp_loss
from landmark.train.metrics import StepRecord, read_steps, write_metrics
from landmark.train.net import autocast, limit_threads, pick_device, prepare_net
from landmark.train.optimizer import freeze_towers, new_optimizer, set_rate
from landmark.train.plots import draw_curve
from landmark.train.prefetch import Prefetched, prefetch
from landmark.train.preparation import (
    Inputs,
    add_statistics,
    new_run,
    read_inputs,
    torch_seed,
    validation_profile,
)
from landmark.train.profile import ModelProfile

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Parameters of a training.

    Attributes:
        profile: The model.
        out: Run folder.
        seed: Seed of initialisation, order, augmentation and dropout.
        sensors: Sensors to train on; None for all of the corpus.
        device: auto, cpu or cuda.
        save_every: Steps between checkpoints inside an epoch; 0 saves at the ends of epochs only.
        progress: Receives steps done, with loss and learning rate as detail.
    """

    profile: ModelProfile
    out: Path
    seed: int = 0
    sensors: Sequence[str] | None = None
    device: str = "auto"
    save_every: int = 0
    progress: Progress = silent


def train(corpus: Corpus, config: TrainingConfig) -> Run:
    """Start, resume or find a training in `config.out`, and return the finished run.

    On one machine's CPU, with the same number of threads (`budget.threads`), the weights depend on corpus, model,
    sensors and seed only, however often the training was interrupted. Ranks started by torchrun share each batch.

    Raises:
        InsufficientData, InputError, RunMismatch, InvalidRun, StateMismatch: refused; the folder is unchanged.
        Diverged: the loss became NaN or infinite.
    """
    with join(pick_device(config.device)) as world:
        check_ranks(world.ranks, config.profile.budget)
        inputs = read_inputs(corpus, config.profile, seed=config.seed, sensors=config.sensors)
        with folder_lock(config.out) if world.is_main else nullcontext(), torch.random.fork_rng():
            run: Run = world.share(_find_or_start(corpus, config, inputs) if world.is_main else None)
            if run.finished:
                return run
            with limit_threads(config.profile.budget.threads):
                return Trainer(corpus, config, inputs, run, world).fit()


def _find_or_start(corpus: Corpus, config: TrainingConfig, inputs: Inputs) -> Run:
    """The run in the folder, or a new one at step 0; files that an interrupted training left are deleted."""
    run = find_run(config.out, inputs.identity)
    refuse_links(config.out)
    remove_partials(config.out)
    if run is None:
        return new_run(corpus, config.out, inputs, config.progress)
    if run.finished:
        log.info("%s: already trained", config.out)
    remove_superseded(config.out, run)
    return run


class Trainer:
    """A training in progress: net, optimizer, batches, and the run as last saved."""

    def __init__(self, corpus: Corpus, config: TrainingConfig, inputs: Inputs, run: Run, world: World) -> None:
        """Continue at the run's step."""
        self._config, self._run, self._world = config, run, world
        self._profile, self._budget = config.profile, config.profile.budget
        self._progress = config.progress if world.is_main else silent
        self._device = pick_device(config.device)
        encoder = Encoder.from_pretrained(config.out, "cpu", run=run)
        self._net = prepare_net(encoder.net, self._device)
        self._optimizer = new_optimizer(self._net, self._budget)
        load_optimizer(config.out, run, self._net, self._optimizer)
        self._steps = read_steps(config.out, run.step)

        def open_batches(split: str, profile: ModelProfile, share: tuple[int, int] = (0, 1)) -> Batches:
            annotations = inputs.train if split == "train" else inputs.validation
            data, selection = add_statistics(annotations, run.statistics), corpus.select(split=split)
            batches = Batches(selection, data, profile, seed=config.seed, tokenize=encoder.tokenize, share=share)
            return batches.to(self._device)

        self._batches = open_batches("train", self._profile, (world.rank, world.ranks))
        self._validation = open_batches("val", validation_profile(self._profile)) if inputs.validation else None
        if run.loader is not None:
            try:
                self._batches.loader.load_state_dict(run.loader)
            except StateMismatch as error:
                error.file = str(config.out / "run.json")
                raise
        self._loader_state = self._batches.loader.state_dict()
        self._steps_per_epoch = math.ceil(self._batches.per_epoch / self._budget.accumulate)
        self._n_steps = self._budget.count_steps(self._steps_per_epoch)

    def fit(self) -> Run:
        """Do the remaining steps and return the finished run."""
        with closing(prefetch(self._batches)) as batches:
            while not self._run.finished:
                self._advance(batches)
        return self._run

    def _advance(self, batches: Iterator[Prefetched]) -> None:
        """Do the next step, and what is due before and after it."""
        step = len(self._steps)
        epoch, within = divmod(step, self._steps_per_epoch)
        if within == 0 or step == self._run.step:
            self._start_epoch(epoch)
        count = min(self._budget.accumulate, self._batches.per_epoch - within * self._budget.accumulate)
        made = list(islice(batches, count))
        record, self._loader_state = self._step(step, [own.batch for own in made]), made[-1].state
        self._steps.append(record)
        if within + 1 == self._steps_per_epoch or record.step == self._n_steps:
            self._end_epoch()
        elif self._config.save_every and record.step % self._config.save_every == 0:
            self._save()
        detail = f"loss {record.loss:.3f}, learning rate {record.learning_rate:.2e}"
        self._progress("train", record.step, record.step if self._run.finished else self._n_steps, detail)

    def _start_epoch(self, epoch: int) -> None:
        self._net.train()
        freeze_towers(self._net, self._budget.freeze, epoch)
        self._model = parallel(self._net, self._world.group, alternate_sensors=self._budget.alternate_sensors)

    def _step(self, step: int, batches: Sequence[Batch]) -> StepRecord:
        """Do a step of the optimizer, or with `alternate_sensors` one for each sensor."""
        rate = set_rate(self._optimizer, self._budget, step, self._n_steps)
        parts = list(zip(*map(split_sensors, batches), strict=True)) if self._budget.alternate_sensors else [batches]
        losses, norms = zip(*(self._update(step, number, part) for number, part in enumerate(parts)), strict=True)
        return StepRecord(
            step=step + 1,
            epoch=step // self._steps_per_epoch + 1,
            loss=sum(losses) / len(losses),
            learning_rate=rate,
            scale=float(self._net.scale.detach()),
            gradient_norm=max(norms),
        )

    def _update(self, step: int, number: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Do one step of the optimizer; return the loss and the norm of its gradients."""

        def seeds(chunk: int) -> int:
            return torch_seed(self._config.seed, "step", step, number, self._world.rank, chunk)

        self._optimizer.zero_grad()
        loss = compute_gradients(self._model, batches, self._profile, seeds=seeds, group=self._world.group)
        max_norm = self._budget.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), max_norm)
        values = float(loss), float(norm)
        if not all(map(math.isfinite, values)):
            raise self._diverged(step + 1, f"loss {values[0]:.3g}, gradient norm {values[1]:.3g}")
        self._optimizer.step()
        self._net.clamp_scale()
        return values

    def _end_epoch(self) -> None:
        """Validate, then save a checkpoint, or the result after the last epoch."""
        last = self._steps[-1]
        losses = [record.loss for record in self._steps[(last.epoch - 1) * self._steps_per_epoch :]]
        validation_loss = self._world.share(self._validate() if self._world.is_main else None)
        if validation_loss is not None and not math.isfinite(validation_loss):
            raise self._diverged(last.step, f"validation loss {validation_loss:.3g}")
        record = EpochRecord(
            epoch=last.epoch,
            step=last.step,
            loss=sum(losses) / len(losses),
            validation_loss=validation_loss,
            learning_rate=last.learning_rate,
            scale=last.scale,
        )
        self._run = self._run.model_copy(update={"history": [*self._run.history, record]})
        self._save()

    @torch.no_grad()
    def _validate(self) -> float | None:
        """Mean loss of the val split's batches, weighted by their images; None without a val split."""
        if self._validation is None:
            return None
        self._net.eval()
        total, count = torch.zeros((), device=self._device), 0
        for batch in self._validation.first_epoch():
            own = batch.to(self._device)
            with autocast(self._device):
                embeddings = self._net(own.inputs, own.token_ids, own.attention_mask)
            loss = closp_loss(embeddings, own.targets, self._net.scale, self._profile.objective)
            images = sum(len(part.images) for part in own.inputs.values())
            total, count = total + images * loss, count + images
        return float(total / count)

    def _save(self) -> None:
        """Save a checkpoint, or the result if the training is over."""
        run = self._run.model_copy(update={"step": len(self._steps), "loader": self._loader_state})
        self._run = self._world.share(self._write(run) if self._world.is_main else None)

    def _write(self, run: Run) -> Run:
        out, best = self._config.out, best_epoch(run.history) if self._budget.select == "best" else None
        is_best = best is not None and run.history[best].step == run.step
        write_metrics(out, self._steps, run.history)
        if run.step < self._n_steps and not out_of_patience(run.history, self._budget.patience):
            return save_checkpoint(out, run, self._net, self._optimizer, is_best=is_best)
        if run.best is not None and not is_best:
            load_weights(out, run.best, self._net)
        draw_curve(self._steps, run.history, out / "curve.png")
        return save_result(out, run, self._net)

    def _diverged(self, step: int, values: str) -> Diverged:
        rate = self._optimizer.param_groups[0]["lr"]
        return Diverged(
            f"diverged at step {step} of {self._n_steps} with learning rate {rate:.3g}: {values}; the last checkpoint"
            " is intact",
            file=self._config.out,
            key="budget.learning_rate",
            value=self._budget.learning_rate,
            remedy="lower `budget.learning_rate` or set `budget.max_grad_norm`, with another --out",
        )
