"""A plain training, as tutorials of PyTorch have it: all images in memory as tensors, not augmented; no checkpoint."""

from collections.abc import Callable

import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR

from landmark.config.profiles import load_sensor
from landmark.corpus.reader import Corpus
from landmark.train.batches import Batch, multi_hot
from landmark.train.closp import SensorInputs
from landmark.train.dataset import band_statistics, model_input, pixel_blocks, read_split_annotations
from landmark.train.loss import SensorTargets, closp_loss
from landmark.train.net import new_net
from landmark.train.profile import ModelProfile
from landmark.train.text import build_vocabulary


def train_plainly(
    corpus: Corpus, profile: ModelProfile, after_step: Callable[[], None], device: str = "cpu", fast: bool = True
) -> None:
    """Train on all sensors of a corpus; `after_step` is called after each step. Only a fast one is channels_last."""
    layout = torch.channels_last if fast else torch.contiguous_format
    budget, annotations = profile.budget, read_split_annotations(corpus, profile)
    captions = [caption for own in annotations.values() for caption in own.captions]
    net, tokenize = new_net(profile, list(annotations), vocabulary=build_vocabulary(captions), text_folder=None)
    net = net.to(device, memory_format=layout)  # type: ignore[call-overload]
    parts = [part.split([len(own.ids) for own in annotations.values()]) for part in tokenize(captions)]
    tokens = dict(zip(annotations, zip(*parts, strict=True), strict=True))
    images, labels = {}, {}
    for sensor, own in annotations.items():
        stored = np.concatenate(list(pixel_blocks(corpus.select(split="train", sensor=sensor), profile.image)))
        statistics = band_statistics([stored], load_sensor(sensor))
        scaled = model_input(stored, load_sensor(sensor), tower=profile.image, statistics=statistics)
        images[sensor] = scaled.contiguous(memory_format=layout)
        labels[sensor] = torch.from_numpy(multi_hot(own.labels))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0, weight_decay=budget.weight_decay, fused=fast)
    steps = max(len(own) for own in images.values()) // budget.batch
    schedule = OneCycleLR(optimizer, budget.learning_rate, budget.epochs * steps, cycle_momentum=False)
    for _ in range(budget.epochs):
        orders = {sensor: torch.randperm(len(own)) for sensor, own in images.items()}
        for step in range(steps):
            inputs, targets, ids, masks = {}, {}, [], []
            for number, (sensor, order) in enumerate(orders.items()):
                rows = order[torch.arange(step * budget.batch, (step + 1) * budget.batch) % len(order)]
                inputs[sensor] = SensorInputs(images[sensor][rows], torch.arange(budget.batch) + number * budget.batch)
                targets[sensor] = SensorTargets(labels[sensor][rows])
                ids.append(tokens[sensor][0][rows])
                masks.append(tokens[sensor][1][rows])
            batch = Batch(inputs, targets, torch.cat(ids), torch.cat(masks)).to(torch.device(device))
            embeddings = net(batch.inputs, batch.token_ids, batch.attention_mask)
            loss = closp_loss(embeddings, batch.targets, net.scale, profile.objective)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), budget.max_grad_norm or 1e9)
            optimizer.step()
            schedule.step()
            net.clamp_scale()
            after_step()
