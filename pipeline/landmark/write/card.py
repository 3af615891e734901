"""README.md of a corpus (with the front matter that Hugging Face loaders read) and ATTRIBUTION.md."""

import json
import re
from typing import Any

import pyarrow as pa
import yaml

from landmark.config.profiles import load_sensor
from landmark.config.recipe import SPLITS
from landmark.core.plural import plural
from landmark.core.printable import printable
from landmark.corpus.manifest import Manifest
from landmark.corpus.shard_schema import shard_schema

# Tags and links in angle brackets; links, images and their targets; code; cells. Plain text keeps its characters.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])|[`|\\]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_CARD = """\
---
pretty_name: {quoted}
license: other
task_categories: [text-to-image, image-to-text]
tags: [earth-observation, sentinel-1, sentinel-2, remote-sensing, retrieval]
configs:
{configs}
dataset_info:
{features}
---

# {title}

{samples_written} of {patch} x {patch} px at {resolution:g} m, each with captions, built by landmark {version}.

| sensor | train | val | test |
|---|---|---|---|
{samples}

| label | samples |
|---|---|
{labels}

Planned {planned} = written {written} + dropped {dropped} + failed {failed}. `ledger.parquet` gives the
reason for each dropped sample; `lock.json` lists all inputs, `landmark files` the current shards. Cells of
different splits are at least {closest} apart.
{leakage}
```python
import landmark

corpus = landmark.open("path/of/this/folder")
sample = next(iter(corpus))
print(sample.id, sample.caption(), (sample.s1 if sample.s2 is None else sample.s2).shape)
```

Content digest `{content}`, lock `{lock}`. Licences: {licences}; see ATTRIBUTION.md.
"""


def card(manifest: Manifest) -> str:
    """Render README.md: a config and a row of counts per sensor, and how to read the corpus."""
    gap, title = manifest.split_proof.closest_m, manifest.title or manifest.name
    return _CARD.format(
        title=_line(title),
        quoted=printable(json.dumps(title, ensure_ascii=False)),
        configs="\n".join(_config(manifest, sensor) for sensor in manifest.sensors),
        features="".join(_features(manifest, sensor) for sensor in manifest.sensors).rstrip(),
        samples_written=plural(manifest.counts["written"], "sample"),
        written=manifest.counts["written"],
        planned=manifest.counts["planned"],
        dropped=manifest.counts["dropped"],
        failed=manifest.counts["failed"],
        patch=manifest.patch_px,
        resolution=manifest.resolution_m,
        version=_line(manifest.landmark_version),
        samples="\n".join(
            f"| {_line(sensor)} | " + " | ".join(str(counts[split]) for split in SPLITS) + " |"
            for sensor, counts in manifest.samples.items()
        ),
        labels="\n".join(f"| {_line(label)} | {count} |" for label, count in manifest.labels.items()) or "| none | 0 |",
        closest="any distance" if gap is None else f"{gap:g} m",
        leakage=_leakage(manifest),
        content=_line(manifest.content_digest.replace("`", "'")),
        lock=_line(manifest.lock_digest.replace("`", "'")),
        licences=_line(", ".join(manifest.licences)),
    )


def _leakage(manifest: Manifest) -> str:
    """A line, empty where nothing was measured."""
    figures = [
        f"mAP {leakage.map:.2f} (chance {leakage.chance_map:.2f}) on {_line(sensor)}"
        for sensor, leakage in manifest.leakage.items()
    ]
    if not figures:
        return ""
    return (
        f"The labels of the five nearest train cells, without an image, retrieve the test samples with"
        f" {' and '.join(figures)}: compare models with this.\n"
    )


def attribution(manifest: Manifest) -> str:
    """Render ATTRIBUTION.md: the sources that must be named."""
    return "# Attribution\n\n" + "\n".join(f"- {_line(line)}" for line in manifest.attributions) + "\n"


def _line(text: str) -> str:
    """A text as one line of Markdown without tags, links, images, code and cells of a table."""
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return _MARKUP.sub(lambda match: "&lt;" if match[0] == "<" else f"\\{match[0]}", line)


def _config(manifest: Manifest, sensor: str) -> str:
    lines = [f"  - config_name: {sensor}", "    data_files:"]
    for split in SPLITS:
        if paths := [shard.path for shard in manifest.shards if (shard.sensor, shard.split) == (sensor, split)]:
            # A pattern would also find the files of other generations.
            lines += [f"      - split: {split}", "        path:", *(f"          - {path}" for path in paths)]
    return "\n".join(lines)


def _features(manifest: Manifest, sensor: str) -> str:
    """Columns of a sensor's shards in the notation of `datasets`, which rejects undeclared map columns."""
    schema = shard_schema(load_sensor(sensor), manifest.patch_px)
    features = [{"name": field.name, **_feature(field.type)} for field in schema]
    return yaml.safe_dump([{"config_name": sensor, "features": features}], sort_keys=False, default_flow_style=None)


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_map(kind):
        return {"dtype": "json"}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    if pa.types.is_fixed_size_list(kind):
        return {"list": _item(kind), "length": kind.list_size}
    if pa.types.is_list(kind):
        return {"list": _item(kind)}
    return {"dtype": {"float": "float32", "double": "float64"}.get(str(kind), str(kind))}


def _item(kind: pa.DataType) -> Any:
    """Type of a list's items: a name, or the fields of a struct."""
    (named,) = _feature(kind.value_type).values()
    return named
