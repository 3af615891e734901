"""Time the embedding of images of a corpus, and of the same images when they are in memory as tensors."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from landmark.config.profiles import load_sensor
from landmark.corpus.reader import Corpus
from landmark.train.dataset import model_input, pixel_blocks
from landmark.train.encoder import Encoder
from landmark.train.net import new_net
from landmark.train.profile import BandStatistics, ModelProfile, load_profile
from landmark.train.retrieval.embed import LoadedRun, embed_split
from landmark.train.text import build_vocabulary


def measure_embedding(
    corpus: Corpus, profile: ModelProfile, *, images: int, repeats: int, device: str = "cpu"
) -> dict[str, Any]:
    """Seconds to embed some images of the test split, `embed`, and of the forward passes alone, `forward`, in turn."""
    ids = [id for sensor in corpus.manifest.sensors for id in corpus.select(split="test", sensor=sensor).ids[:images]]
    selection, encoder = corpus.select(where=[("id", "in", ids)]), _open_encoder(corpus, profile, device)
    loaded = LoadedRun(Path(), None, encoder)  # type: ignore[arg-type]
    blocks = {
        sensor: [
            model_input(
                stored,
                load_sensor(sensor),
                tower=encoder.profile.image,
                statistics=encoder.statistics[sensor],
                device=encoder.device,
            )
            for stored in pixel_blocks(selection.select(sensor=sensor), encoder.profile.image)
        ]
        for sensor in encoder.sensors
    }

    @torch.inference_mode()
    def forward() -> None:
        for sensor, own in blocks.items():
            for block in own:
                encoder.net.encode_image(sensor, block)
        if encoder.device.type == "cuda":
            torch.cuda.synchronize()

    passes: dict[str, Callable[[], object]] = {
        "embed": lambda: embed_split(loaded, selection, "test"),
        "forward": forward,
    }
    for run in passes.values():
        run()
    rounds = [{name: _time(run) for name, run in passes.items()} for _ in range(repeats)]
    return {"images": len(ids), "rounds": rounds}


def _time(run: Callable[[], object]) -> dict[str, float]:
    start, cpu_start = time.perf_counter(), time.process_time()
    run()
    return {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - cpu_start}


def _open_encoder(corpus: Corpus, profile: ModelProfile, device: str) -> Encoder:
    """An untrained model whose text tower, which embeds no image, is that of `tiny`."""
    profile = profile.model_copy(update={"text": load_profile("tiny").text})
    sensors = corpus.manifest.sensors
    net, tokenize = new_net(profile, sensors, vocabulary=build_vocabulary([]), text_folder=None)
    statistics = {
        sensor: [
            BandStatistics(mean=mean, std=std)
            for mean, std in (corpus.manifest.statistics[sensor][band] for band in load_sensor(sensor).order)
        ]
        for sensor in sensors
    }
    return Encoder(net.to(device).eval(), tokenize, profile, statistics)
