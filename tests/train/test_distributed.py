"""Two ranks that torchrun starts, with gloo: gradients equal those of one; an error ends both."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.train.checkpoint import read_run
from landmark.train.distributed import World, check_ranks, join
from landmark.train.gradients import compute_gradients, parallel, split_chunks, split_sensors
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import Budget, load_profile
from landmark.train.towers.vit import IMAGE_PX
from tests.parts import raises
from tests.train.nets import make_batch, make_net, make_profile
from tests.train.toy import PROFILE

RANKS = 2
IMAGES = 4
CASES: dict[str, dict[str, Any]] = {
    "one chunk": {},
    "chunks of two batches with places and pairs": {
        "location": {"degrees": 3, "width": 8, "features": 6},
        "objective": {"pair_weight": 0.5},
        "budget": {"chunk": 1, "accumulate": 2},
    },
    "sensors in turn": {"budget": {"chunk": 1, "alternate_sensors": True}},
}


def compute_results(world: World) -> dict[str, torch.Tensor]:
    """Loss and gradients of each case, of a net that only the main rank initialises as a single rank does."""
    results = {}
    for case, changes in CASES.items():
        profile = make_profile(**changes)
        budget, net = profile.budget, make_net(profile, vit=True, seed=world.rank)
        model = parallel(net, world.group, alternate_sensors=budget.alternate_sensors)
        batches = [make_batch(profile, n=(IMAGES, IMAGES), px=IMAGE_PX, seed=seed) for seed in range(budget.accumulate)]
        parts = [split_chunks(batch, IMAGES // world.ranks)[world.rank] for batch in batches]
        steps = [[part] for part in split_sensors(parts[0])] if budget.alternate_sensors else [parts]
        for number, step in enumerate(steps):
            net.zero_grad()
            loss = compute_gradients(model, step, profile, seeds=lambda chunk: chunk, group=world.group)
            grads = {name: own.grad for name, own in net.named_parameters() if own.grad is not None}
            results |= {f"{case}/{number}/{name}": value for name, value in (grads | {"loss": loss}).items()}
    return results


def work(folder: Path, failing: str) -> None:
    """What each rank does."""
    torch.set_num_threads(1)
    with join(torch.device("cpu")) as world:
        if failing == "both" or failing == str(world.rank):
            raise InputError("failed on purpose")
        if failing == "killed" and world.is_main:
            import os

            os._exit(9)
        assert world.share(f"value of rank {world.rank}") == "value of rank 0"
        torch.save(compute_results(world), folder / f"{world.rank}.pt")


def torchrun(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module with arguments on all ranks."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    return subprocess.run([sys.executable, *launcher, "-m", *command], capture_output=True, text=True, check=False)


def launch(folder: Path, failing: str = "none") -> subprocess.CompletedProcess[str]:
    return torchrun("tests.train.test_distributed", str(folder), failing)


def test_two_ranks_have_the_gradients_of_a_single_rank(tmp_path: Path) -> None:
    done = launch(tmp_path)
    assert done.returncode == 0, done.stderr
    expected = compute_results(World())
    for rank in range(RANKS):
        results = torch.load(tmp_path / f"{rank}.pt")
        assert results.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(results[name], value, rtol=0, atol=1e-10, msg=name)


@pytest.mark.long
@pytest.mark.parametrize("failing", ["1", "both", "killed"])
def test_an_error_ends_all_ranks_and_is_raised_once(tmp_path: Path, failing: str) -> None:
    done = launch(tmp_path, failing)
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    lost, wrong = (sum(line.startswith(f"error: {name}") for line in lines) for name in ("RankLost", "InputError"))
    # The launcher may end the other rank before it has noticed.
    assert wrong == 0 and lost <= 1 if failing == "killed" else (lost, wrong) == (0, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_ranks_write_a_run_together(toy_corpus: Corpus, model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = torchrun("landmark", "train", str(toy_corpus.root), "--model", str(model_path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1 and "Warning" not in done.stderr
    run = read_run(out)
    assert run.finished and run.step == 9
    assert train(toy_corpus, TrainingConfig(load_profile(str(model_path)), out, device="cpu")) == run


def test_a_single_rank_needs_no_launcher() -> None:
    with join(torch.device("cpu")) as world:
        assert world == World() and world.is_main and world.share(3) == 3


@pytest.mark.parametrize(
    ("ranks", "changes", "key", "value"), [(3, {}, None, 3), (2, {"last_batch": "keep"}, "budget.last_batch", "keep")]
)
def test_ranks_that_cannot_share_a_batch_are_refused(
    ranks: int, changes: dict[str, Any], key: str | None, value: object
) -> None:
    check_ranks(2, Budget(**PROFILE["budget"]))
    check_ranks(1, Budget(**PROFILE["budget"], last_batch="keep"))
    with raises(InputError, key=key, value=value):
        check_ranks(ranks, Budget(**PROFILE["budget"], **changes))


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
