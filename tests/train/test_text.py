"""Text towers against `transformers`: the real MiniLM, its multilingual sibling's layout, and BERTs from scratch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from landmark.core.errors import InputError
from landmark.train.closp import Closp, pool_tokens
from landmark.train.profile import TextTower, load_profile
from landmark.train.text import (
    TextModel,
    build_vocabulary,
    pretrained_text_model,
    read_tokenizer,
    resolve_weights,
    scratch_text_model,
)
from landmark.train.towers.bert import Bert, BertConfig
from tests.parts import raises
from tests.train.published import MINILM, MINILM_CONFIG, read_layout

TEXTS = [
    "water",
    "a lake",
    "desert",
    "Trees. grass. flooded vegetation!",
    "Überschwemmung; naïve 水 [SEP] x" + 12 * "unhyphenatedword",
    "",
]
TOWER = TextTower(weights="x", pooling="mean")


def states_of(text: TextModel, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Token states in float64, and mask."""
    ids, mask = text.tokenize(texts)
    with torch.no_grad():
        return text.tower.double().eval()(ids, mask), mask


def oracle_states(folder: Path, texts: list[str]) -> list[Tensor]:
    """Token states of `transformers`, each text by itself and in float64."""
    from transformers import AutoModel, AutoTokenizer

    tokenize = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tower = AutoModel.from_pretrained(folder, local_files_only=True).double().eval()
    with torch.no_grad():
        return [tower(**tokenize(text, return_tensors="pt")).last_hidden_state[0] for text in texts]


def embed(model: str, texts: list[str]) -> np.ndarray:
    """Texts embedded by CLOSP."""
    profile = load_profile(model)
    text = pretrained_text_model(profile.text, resolve_weights(str(MINILM)))
    slim = profile.model_copy(update={"image": load_profile("tiny").image})
    with torch.no_grad():
        vectors: np.ndarray = Closp(slim, ["s2"], text.tower).eval().encode_text(*text.tokenize(texts)).numpy()
    return vectors


def test_minilm_equals_transformers_with_both_poolings() -> None:
    text = pretrained_text_model(TOWER, MINILM)
    states, mask = states_of(text, TEXTS)
    expected = oracle_states(MINILM, TEXTS)
    for own, present, plain in zip(states, mask.bool(), expected, strict=True):
        assert torch.allclose(own[present], plain, rtol=0, atol=1e-10)
    means, firsts = embed("closp", TEXTS), embed("closp-paper", TEXTS)
    for mean, first, plain in zip(means, firsts, expected, strict=True):
        for vector, pooled in ((mean, plain.mean(0)), (first, plain[0])):
            assert np.allclose(vector, pooled / pooled.norm(), atol=1e-6)


def test_water_is_nearer_to_a_lake_than_desert_is() -> None:
    water, lake, desert, *_ = embed("closp", TEXTS)
    assert water @ lake > desert @ lake


def test_padding_changes_no_embedding() -> None:
    states = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([states, torch.full((1, 4, 5), 9.0)], dim=1)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    assert torch.allclose(pool_tokens(padded, mask, "mean"), states.mean(1))
    assert torch.equal(pool_tokens(padded, mask, "cls"), states[:, 0])


def test_long_texts_are_truncated() -> None:
    ids, mask = pretrained_text_model(TOWER, MINILM).tokenize(["trees. " * 100, "water"])
    assert ids.shape == mask.shape == (2, 64) and ids[0, -1] == 102
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


@pytest.mark.parametrize("lowercase", [True, False])
def test_word_pieces_without_tokenizer_json(tmp_path: Path, lowercase: bool) -> None:
    """`vocab.txt` alone, as older folders have it, gives the tokens of `transformers`."""
    from transformers import BertTokenizerFast

    shutil.copy(MINILM / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    ids, mask = read_tokenizer(tmp_path, MINILM_CONFIG, 64)(TEXTS[:4])
    tokens = BertTokenizerFast(str(tmp_path / "vocab.txt"), do_lower_case=lowercase)(TEXTS[:4], padding=True)
    assert ids.tolist() == tokens["input_ids"] and mask.tolist() == tokens["attention_mask"]


# -- the multilingual sibling ------------------------------------------------------------------------------------------

# config.json of sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2.
MULTILINGUAL = {
    "model_type": "bert",
    "vocab_size": 250037,
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(("layers", "words"), [(6, 30522), (12, 250037)])
def test_names_and_shapes_are_those_of_minilm(layers: int, words: int) -> None:
    """The sibling differs in the number of layers and of tokens. Pooler and position numbers are not used."""
    config = {**MULTILINGUAL, "num_hidden_layers": layers, "vocab_size": words}
    with torch.device("meta"):
        state = Bert(BertConfig.model_validate(config)).state_dict()
    layout = {name: shape for name, shape in read_layout("minilm").items() if "pooler" not in name}
    del layout["embeddings.position_ids"]
    layout["embeddings.word_embeddings.weight"] = (words, 384)
    for number in range(6, layers):
        added = {name.replace("layer.0.", f"layer.{number}."): shape for name, shape in layout.items()}
        layout |= {name: shape for name, shape in added.items() if f"layer.{number}." in name}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == layout


@pytest.fixture
def multilingual(tmp_path: Path) -> Path:
    """A small folder in its layout: an XLM-R tokenizer, whose padding token is 1, and a BERT of random weights."""
    from transformers import BertConfig as OracleConfig
    from transformers import BertModel

    small = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    torch.manual_seed(0)
    oracle = BertModel(
        OracleConfig(**{**MULTILINGUAL, **small, "intermediate_size": 48, "attn_implementation": "eager"})
    )
    oracle.save_pretrained(tmp_path)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"wateroskqué", "▁water", "▁wa", "ter", "水"]
    pieces = list(dict.fromkeys(pieces))
    tokenizer = Tokenizer(models.Unigram([(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    options = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
    return tmp_path


def test_a_multilingual_bert_equals_transformers(multilingual: Path) -> None:
    texts = ["water", "eau", "water 水 ❓ quake", ""]
    text = pretrained_text_model(TOWER, resolve_weights(str(multilingual)))
    states, mask = states_of(text, texts)
    assert text.tokenize(["", "water"])[0][0].tolist()[:3] == [0, 2, 1]
    for own, present, plain in zip(states, mask.bool(), oracle_states(multilingual, texts), strict=True):
        assert torch.allclose(own[present], plain, rtol=0, atol=1e-10)


# -- unusable folders --------------------------------------------------------------------------------------------------


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
    with raises(InputError, file="--text", key=missing, value=str(tmp_path)):
        resolve_weights(str(tmp_path))


def change(name: str, **values: object) -> Callable[[Path], None]:
    """Change or remove keys of a JSON file."""

    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in document.items() if value is not None}))

    return apply


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return apply


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "name", "field"),
    [
        (change("config.json", model_type="roberta"), "config.json", "model_type"),
        (change("config.json", model_type=None), "config.json", "model_type"),
        (change("config.json", hidden_size=None), "config.json", "hidden_size"),
        (change("config.json", num_attention_heads=5), "config.json", "num_attention_heads"),
        (change("config.json", hidden_act="relu"), "config.json", "hidden_act"),
        (change("config.json", position_embedding_type="relative_key"), "config.json", "position_embedding_type"),
        (change("config.json", vocab_size="many"), "config.json", "vocab_size"),
        (write("config.json", b"{"), "config.json", None),
        (write("config.json", b"[]"), "config.json", None),
        (write("config.json", b"\xff"), "config.json", None),
        (change("config.json", num_hidden_layers=3), "model.safetensors", "text.weights"),
        (change("config.json", intermediate_size=96), "model.safetensors", "text.weights"),
        (truncate, "model.safetensors", "text.weights"),
        (write("model.safetensors", b"not numbers"), "model.safetensors", "text.weights"),
        (write("tokenizer.json", b"{}"), "tokenizer.json", "text.weights"),
        (write("tokenizer.json", b"\xff"), "tokenizer.json", "text.weights"),
        (change("config.json", vocab_size=9), "tokenizer.json", "text.weights"),
    ],
)
def test_malformed_folders_are_refused(
    multilingual: Path, damage: Callable[[Path], None], name: str, field: str | None
) -> None:
    damage(multilingual)
    with raises(InputError, file=str(multilingual / name), key=field):
        pretrained_text_model(TOWER, multilingual)


@pytest.mark.parametrize("content", [b"water\ntrees\n", b"\xff\xfe"], ids=["no special tokens", "binary"])
def test_other_vocabularies_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with raises(InputError, file=str(tmp_path / "vocab.txt"), key="text.weights"):
        read_tokenizer(tmp_path, MINILM_CONFIG, 64)


@pytest.mark.parametrize("name", ["/nowhere/minilm", "./minilm", "minilm", "a/b/c", "landmark-tests/no-such-tower"])
def test_missing_folders_and_unreachable_hub_names_are_refused(name: str) -> None:
    """The last name is a hub name, which the tests' blocked network cannot reach."""
    with pytest.raises(InputError) as caught:
        resolve_weights(name)
    assert (caught.value.file, caught.value.value) == ("--text", name) and caught.value.remedy
