"""The schedule against PyTorch's, what AdamW decays, frozen towers, and memory layouts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landmark.train.closp import SensorInputs
from landmark.train.gradients import compute_gradients, parallel
from landmark.train.net import prepare_net
from landmark.train.optimizer import freeze_towers, new_optimizer, set_rate
from landmark.train.profile import Budget
from landmark.train.towers.vit import IMAGE_PX
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
    own, reference = new_adamw(budget), new_adamw(budget)
    if warmup * steps == 1:
        assert set_rate(own, budget, 0, steps) == peak
        return
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        reference,
        max_lr=peak,
        total_steps=steps,
        pct_start=warmup,
        div_factor=start,
        final_div_factor=end,
        cycle_momentum=cycle,
    )
    for step in range(steps):
        rate = set_rate(own, budget, step, steps)
        expected = reference.param_groups[0]
        assert rate == own.param_groups[0]["lr"] == pytest.approx(expected["lr"], rel=1e-9, abs=1e-15 * peak)
        assert own.param_groups[0]["betas"] == pytest.approx(expected["betas"], rel=1e-12)
        reference.step()
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
    unchanged = {name for name, parameter in net.named_parameters() if bool((parameter == 1).all())}
    parts = {name.rpartition(".")[2] for name in unchanged}
    assert parts == {"logit_scale", "bias", "weight", "cls_token", "pos_embed"}
    norms = {name for name, module in net.named_modules() if isinstance(module, nn.LayerNorm)}
    assert {name.removesuffix(".weight") for name in unchanged if name.endswith(".weight")} == norms
    decayed = {name for name, _ in net.named_parameters()} - unchanged
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


def test_channels_last_changes_neither_names_nor_weights() -> None:
    profile = make_profile()
    states = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = make_net(profile)
        if layout is torch.channels_last:
            prepare_net(net, CPU)
        optimizer = new_optimizer(net, profile.budget)
        for seed in range(2):
            compute_gradients(parallel(net, None), [make_batch(profile, seed=seed)], profile, seeds=lambda chunk: chunk)
            optimizer.step()
            optimizer.zero_grad()
        assert all(module.weight.is_contiguous(memory_format=layout) for module in convolutions(net))
        states.append(net.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-8, atol=1e-8, msg=name)


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]


def test_in_bfloat16_vectors_have_unit_length() -> None:
    """Linear layers and convolutions round to 8 bits, but norms do not."""
    profile = make_profile(**GEOCLOSP)
    net, batch = make_net(profile, vit=True).float(), make_batch(profile, px=IMAGE_PX, n=(3, 3))
    inputs = {
        sensor: SensorInputs(own.images.float(), own.text_index, own.harmonics.float())
        for sensor, own in batch.inputs.items()
        if own.harmonics is not None
    }
    with torch.no_grad():
        expected = net(inputs, batch.token_ids, batch.attention_mask)["s2"]
        with torch.autocast("cpu", torch.bfloat16):
            rounded = net(inputs, batch.token_ids, batch.attention_mask)["s2"]
    for name in ("images", "texts", "locations"):
        vectors = getattr(rounded, name)
        assert vectors.dtype == torch.float32 and not torch.equal(vectors, getattr(expected, name))
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3), rtol=0, atol=1e-6)
        assert (vectors * getattr(expected, name)).sum(1).min() > 0.999
