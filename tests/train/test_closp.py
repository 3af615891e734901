"""The towers and CLOSP against plain formulas, and saved and published models."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, layer_norm, max_pool2d, relu

from landmark.core.errors import InputError
from landmark.corpus.reader import Corpus
from landmark.train.closp import Closp
from landmark.train.loop import TrainingConfig, train
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.retrieval.embed import embed_split, load_run
from landmark.train.text import build_vocabulary, scratch_text_model
from landmark.train.towers.bert import Bert
from landmark.train.towers.resnet import ResNet, ResNetShape
from landmark.train.towers.texture import QUANTILES, TextureNet, TextureShape
from landmark.train.towers.vit import ViT, ViTShape
from tests.parts import raises
from tests.train.published import MINILM, MINILM_CONFIG, geoclosp

Weights = Mapping[str, Tensor]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def randomise(tower: torch.nn.Module) -> torch.nn.Module:
    """The tower in float64, with random normalisations."""
    for name, tensor in tower.double().state_dict().items():
        if tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5) if name.endswith("running_var") else tensor.normal_()
    return tower.eval()


def resnet_features(w: Weights, x: Tensor, shape: ResNetShape) -> Tensor:
    """Pooled features of torchvision's ResNet v1.5, which strides in the 3 x 3 convolutions."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (w[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x, mean, variance, weight, bias)

    sizes = (1, 3, 1) if shape.bottleneck else (3, 3)
    x = max_pool2d(relu(norm("bn1", conv2d(x, w["conv1.weight"], stride=2, padding=3))), 3, 2, 1)
    for stage, depth in enumerate(shape.depths, 1):
        for layer in range(depth):
            name, stride, y = f"layer{stage}.{layer}", 2 if stage > 1 and layer == 0 else 1, x
            for number, size in enumerate(sizes, 1):
                own = stride if number == len(sizes) - 1 else 1
                y = conv2d(y, w[f"{name}.conv{number}.weight"], stride=own, padding=size // 2)
                y = norm(f"{name}.bn{number}", y)
                y = relu(y) if number < len(sizes) else y
            if f"{name}.downsample.0.weight" in w:
                x = norm(f"{name}.downsample.1", conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride))
            x = relu(x + y)
    return x.mean((2, 3))


def vit_features(w: Weights, x: Tensor, shape: ViTShape) -> Tensor:
    """Class tokens of timm's ViT, head by head."""

    def affine(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(x, (shape.width,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    x = conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=16)
    x = torch.stack([torch.cat([w["cls_token"][0], image.reshape(shape.width, -1).T]) for image in x]) + w["pos_embed"]
    for number in range(shape.depth):
        name, size = f"blocks.{number}", shape.width // shape.heads
        queries, keys, values = affine(f"{name}.attn.qkv", norm(f"{name}.norm1", x)).tensor_split(3, dim=2)
        heads = []
        for start in range(0, shape.width, size):
            q, k, v = (part[:, :, start : start + size] for part in (queries, keys, values))
            heads.append((q @ k.transpose(1, 2) / size**0.5).softmax(2) @ v)
        x = x + affine(f"{name}.attn.proj", torch.cat(heads, 2))
        y = affine(f"{name}.mlp.fc1", norm(f"{name}.norm2", x))
        x = x + affine(f"{name}.mlp.fc2", y * (1 + torch.erf(y / 2**0.5)) / 2)
    return norm("norm", x)[:, 0]


@pytest.mark.parametrize("bottleneck", [True, False])
@pytest.mark.parametrize("head", [0, 7])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_resnets_equal_plain_formulas(bottleneck: bool, head: int, layout: torch.memory_format) -> None:
    shape = ResNetShape(bottleneck, 8, (16, 32, 32), (2, 1, 2))
    tower = randomise(ResNet(shape, 13, head)).to(memory_format=layout)  # type: ignore[call-overload]
    x = torch.randn(2, 13, 40, 40, dtype=torch.float64).to(memory_format=layout)
    before, weights = x.clone(), tower.state_dict()
    with torch.no_grad():
        features, expected = tower(x), resnet_features(weights, x, shape)
    if head:
        expected = expected @ weights["fc.weight"].T + weights["fc.bias"]
    assert torch.allclose(features, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(x, before)


@pytest.mark.parametrize("head", [0, 7])
def test_vits_equal_plain_formulas(head: int) -> None:
    shape = ViTShape(24, 2, 3)
    tower = randomise(ViT(shape, 13, head))
    x, weights = torch.randn(2, 13, 224, 224, dtype=torch.float64), tower.state_dict()
    with torch.no_grad():
        features, expected = tower(x), vit_features(weights, x, shape)
    if head:
        expected = expected @ weights["head.weight"].T + weights["head.bias"]
    assert torch.allclose(features, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("head", [0, 7])
def test_texture_towers_equal_plain_formulas(head: int) -> None:
    tower = randomise(TextureNet(TextureShape((5, 6), 9, 0.5), 4, head))
    x, w = torch.randn(3, 4, 15, 15, dtype=torch.float64), tower.state_dict()

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (w[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x, mean, variance, weight, bias)

    first = norm("norms.0", conv2d(x, w["convs.0.weight"], stride=2, padding=1))
    second = norm("norms.1", conv2d(relu(first), w["convs.1.weight"], stride=2, padding=1))
    pixels = first[:, :, ::2, ::2].reshape(3, 5, 16).numpy()
    ranks = np.quantile(pixels, QUANTILES, axis=2, method="nearest").transpose(1, 2, 0).reshape(3, -1)
    maps = (x, relu(first), relu(second))
    statistics = [own for part in maps for own in (part.mean((2, 3)), (part.var((2, 3), correction=0) + 1e-4).sqrt())]
    statistics.insert(2, torch.from_numpy(ranks))
    pooled = norm("statistics_norm", torch.cat(statistics, dim=1))
    expected = relu(pooled @ w["hidden.weight"].T + w["hidden.bias"])
    if head:
        expected = expected @ w["fc.weight"].T + w["fc.bias"]
    with torch.no_grad():
        assert torch.allclose(tower(x), expected, rtol=1e-10, atol=1e-10)


def test_closp_paper_has_the_parameters_of_the_published_checkpoints() -> None:
    """But for BERT's pooler and position numbers, which nothing uses, and the scale, which is constant there."""
    model = load_profile("closp-paper")
    model = model.model_copy(update={"location": load_profile("geoclosp").location})
    with torch.device("meta"):
        net = Closp(model, ["s1", "s2"], Bert(MINILM_CONFIG))
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    expected = geoclosp("resnet50", (True, True))
    unused = {name for name in expected if "pooler" in name or "position_ids" in name}
    assert shapes == {name: shape for name, shape in expected.items() if name not in unused} | {"logit_scale": ()}


def test_closp_paper_has_the_hyperparameters_of_the_paper() -> None:
    model = load_profile("closp-paper")
    net = Closp(model, ["s1"], scratch_text_model(model.text, build_vocabulary(["trees"])).tower)
    assert float(net.scale) == 1.0 and "logit_scale" not in dict(net.named_parameters())
    budget, objective = model.budget, model.objective
    assert (budget.epochs, budget.batch, budget.learning_rate, budget.augment) == (30, 64, 1e-6, "flips")
    assert (objective.targets, objective.scale, objective.learn_scale) == ("identity", 1, False)
    assert model.text.pooling == "cls"


def test_learned_scale_starts_at_the_profile_value_and_is_clamped() -> None:
    model = load_profile("tiny")
    net = Closp(model, ["s1"], scratch_text_model(model.text, build_vocabulary(["trees"])).tower)
    assert net.scale.item() == pytest.approx(10) and net.logit_scale.requires_grad
    for value, clamped in ((9.0, 100.0), (-3.0, 1.0), (2.0, np.exp(2.0))):
        with torch.no_grad():
            net.logit_scale.fill_(value)
        net.clamp_scale()
        assert net.scale.item() == pytest.approx(clamped, rel=1e-6)


def test_vits_get_images_of_224_px() -> None:
    """Of 120 px, resized as torchvision resizes tensors."""
    model = load_profile("tiny")
    image = model.image.model_copy(update={"architecture": "vit_small_patch16_224", "downsample": 1})
    text = scratch_text_model(model.text, build_vocabulary(["trees"])).tower
    net = Closp(model.model_copy(update={"image": image}), ["s1"], text).eval()
    x = torch.randn(1, 2, 120, 120)
    resized = torch.nn.functional.interpolate(x, size=224, mode="bilinear", align_corners=True)
    with torch.no_grad():
        vectors = net.encode_image("s1", x), net.encode_image("s1", resized)
    assert torch.allclose(*vectors, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", ["closp", "closp-paper"])
def test_full_models_train_and_embed_without_the_source_folder(toy_corpus: Corpus, tmp_path: Path, name: str) -> None:
    model = load_profile(name, epochs=1, batch=24, text=str(MINILM))
    run = train(toy_corpus, TrainingConfig(model, tmp_path / "run", device="cpu"))
    assert run.finished and np.isfinite(run.history[0].loss)
    loaded = load_run(tmp_path / "run", "cpu")
    assert loaded.run.identity.weights_sha256.keys() == {"text.weights"}
    texts, images = loaded.encoder.encode_texts(["trees", "water. built"]), embed_split(loaded, toy_corpus, "val")
    assert texts.shape == (2, 384) and images.shape == (16, 384)
    for vectors in (texts, images):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def with_weights(profile: ModelProfile, path: Path) -> ModelProfile:
    return profile.model_copy(update={"image": profile.image.model_copy(update={"weights": {"s2": str(path)}})})


def test_training_starts_from_the_tower_of_another_closp(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile
) -> None:
    """A net that hardly learns keeps the weights of the image tower."""
    budget = profile.budget.model_copy(update={"epochs": 1})
    train(toy_corpus, TrainingConfig(profile.model_copy(update={"budget": budget}), tmp_path / "a", device="cpu"))
    slow = profile.model_copy(update={"budget": budget.model_copy(update={"learning_rate": 1e-12})})
    slow = with_weights(slow, tmp_path / "a" / "model.safetensors")
    train(toy_corpus, TrainingConfig(slow, tmp_path / "b", seed=1, device="cpu"))
    towers = [load_run(tmp_path / name, "cpu").encoder.net.get_submodule("s2_encoder").state_dict() for name in "ab"]
    own = [{name: tensor for name, tensor in tower.items() if not name.endswith("tracked")} for tower in towers]
    same = {name for name in own[0] if torch.allclose(own[0][name], own[1][name], atol=1e-6)}
    assert same >= {name for name in own[0] if "running" not in name}


@pytest.mark.parametrize("content", [None, b"nothing"], ids=["missing", "damaged"])
def test_unusable_weights_are_refused_before_anything_is_written(
    toy_corpus: Corpus, tmp_path: Path, profile: ModelProfile, content: bytes | None
) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with raises(InputError, file=str(path), key="image.weights.s2"):
        train(toy_corpus, TrainingConfig(with_weights(profile, path), tmp_path / "run", device="cpu"))
    assert not (tmp_path / "run").exists()
