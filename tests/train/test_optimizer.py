"""The schedule against PyTorch's, what AdamW decays, frozen towers, and memory layouts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landmark.train.gradients import compute_gradients, parallel
from landmark.train.optimizer import freeze_towers, new_optimizer, set_rate
from landmark.train.precision import autocast, has_bfloat16, prepare_net
from landmark.train.profile import Budget
from tests.parts import examples
from tests.train.nets import make_batch, make_net, make_profile
from tests.train.toy import PROFILE

CPU = torch.device("cpu")
GEOCLOSP = {"location": {"degrees": 3, "width": 8, "features": 6}}


def new_adamw(budget: Budget) -> torch.optim.AdamW:
    return torch.optim.AdamW([nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=budget.learning_rate)


@given(
    st.integers(1, 40),
    st.one_of(st.just(0.0), st.floats(0, 0.99)),
    st.floats(1e-8, 10),
    st.floats(1, 1e6),
    st.floats(1, 1e6),
    st.booleans(),
)
@examples(60)
def test_schedule_equals_pytorchs_onecycle(
    steps: int, warmup: float, peak: float, start: float, end: float, cycle: bool
) -> None:
    """OneCycleLR divides by zero where the peak is at step 0; there the rate starts at the peak."""
    changes = {"learning_rate": peak, "warmup": warmup, "start_divisor": start, "end_divisor": end}
    budget = Budget(**PROFILE["budget"] | changes, cycle_beta1=cycle)
    own, theirs = new_adamw(budget), new_adamw(budget)
    if warmup * steps == 1:
        assert set_rate(own, budget, 0, steps) == peak
        return
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        theirs,
        max_lr=peak,
        total_steps=steps,
        pct_start=warmup,
        div_factor=start,
        final_div_factor=end,
        cycle_momentum=cycle,
    )
    for step in range(steps):
        rate = set_rate(own, budget, step, steps)
        expected = theirs.param_groups[0]
        assert rate == own.param_groups[0]["lr"] == pytest.approx(expected["lr"], rel=1e-9, abs=1e-15 * peak)
        assert own.param_groups[0]["betas"] == pytest.approx(expected["betas"], rel=1e-12)
        theirs.step()
        if step < steps - 1:
            schedule.step()


def test_matrices_are_decayed_and_nothing_else() -> None:
    """One step with gradients of zero changes exactly the decayed parameters."""
    profile = make_profile(**GEOCLOSP, budget={"weight_decay": 0.5})
    net = make_net(profile, vit=True)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0).grad = torch.zeros_like(parameter)
    optimizer = new_optimizer(net, profile.budget)
    set_rate(optimizer, profile.budget, 1, 3)
    optimizer.step()
    kept = {name for name, parameter in net.named_parameters() if bool((parameter == 1).all())}
    parts = {name.rpartition(".")[2] for name in kept}
    assert parts == {"logit_scale", "bias", "weight", "cls_token", "pos_embed"}
    norms = {name for name, module in net.named_modules() if isinstance(module, nn.LayerNorm)}
    assert {name.removesuffix(".weight") for name in kept if name.endswith(".weight")} == norms
    decayed = {name for name, _ in net.named_parameters()} - kept
    assert {"text_model.embeddings.word_embeddings.weight", "location_encoder.nnet.layers.0.weight"} <= decayed


@pytest.mark.parametrize(
    ("freeze", "frozen"), [("never", [False, False]), ("first-epoch", [True, False]), ("always", [True, True])]
)
def test_frozen_towers_stay_as_they_are(freeze: str, frozen: list[bool]) -> None:
    """Projections and scale learn; running statistics of BatchNorm move in frozen towers, too."""
    profile = make_profile(**GEOCLOSP, budget={"weight_decay": 0.5, "learning_rate": 0.1})
    net, batch = make_net(profile), make_batch(profile)
    optimizer, towers = new_optimizer(net, profile.budget), ("_encoder.", "text_model.")
    for epoch, expected in enumerate(frozen):
        freeze_towers(net, freeze, epoch)  # type: ignore[arg-type]
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        compute_gradients(parallel(net, None), [batch], profile, seeds=lambda chunk: chunk)
        optimizer.step()
        optimizer.zero_grad()
        same = {name for name, tensor in net.state_dict().items() if torch.equal(tensor, before[name])}
        parameters = {name for name, _ in net.named_parameters()}
        in_towers = {name for name in parameters if any(part in name for part in towers)}
        assert same & parameters == (in_towers if expected else same & in_towers)
        assert ("s1_encoder.conv1.weight" in same) is expected
        assert not same & {name for name, _ in net.named_buffers()}


def test_layout_changes_no_weight_and_survives_a_checkpoint(tmp_path: Path) -> None:
    """Fused AdamW needs moments in the layout of their parameter: loading restores it."""
    from landmark.train.checkpoint import _optimizer_tensors

    profile = make_profile()
    results = []
    for layout in (False, True):
        net, batch = make_net(profile), make_batch(profile)
        if layout:
            prepare_net(net, CPU)
            assert net.s1_encoder.conv1.weight.is_contiguous(memory_format=torch.channels_last)
        optimizer = new_optimizer(net, profile.budget)
        for step in range(2):
            compute_gradients(parallel(net, None), [batch], profile, seeds=lambda chunk: chunk)
            optimizer.step()
            optimizer.zero_grad()
        results.append(net.state_dict())
    assert results[0].keys() == results[1].keys()
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=1e-6, atol=1e-6, msg=name)


def test_embeddings_and_loss_are_float32_under_bfloat16() -> None:
    profile = make_profile(**GEOCLOSP)
    net, batch = make_net(profile).float(), make_batch(profile)
    inputs = {sensor: own for sensor, own in batch.inputs.items()}
    with torch.autocast("cpu", torch.bfloat16):
        pass
    assert has_bfloat16(CPU) == autocast(CPU)._enabled
