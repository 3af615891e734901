"""The card (README.md with the front matter loaders read) and ATTRIBUTION.md of a corpus."""

from landmark.base.manifest import Manifest
from landmark.base.recipe import SPLITS

_CARD = """\
---
pretty_name: {title}
license: other
task_categories: [text-to-image, image-to-text]
tags: [earth-observation, sentinel-1, sentinel-2, remote-sensing, retrieval]
configs:
{configs}
---

# {title}

{written} samples of {patch} x {patch} px at {resolution:g} m, each with captions, built by landmark {version}.

| sensor | train | val | test |
|---|---|---|---|
{samples}

| label | samples |
|---|---|
{labels}

Planned {planned} = written {written} + dropped {dropped} + failed {failed}. Why each dropped sample is absent stands in
`ledger.parquet`; all inputs stand in `lock.json`. Cells of different splits stand at least {closest} apart.

```python
import landmark

corpus = landmark.open("path/of/this/folder")
sample = next(iter(corpus))
print(sample.id, sample.caption(), (sample.s1 if sample.s2 is None else sample.s2).shape)
```

Content digest `{content}`, lock `{lock}`. Licences: {licences}; see ATTRIBUTION.md.
"""


def card(manifest: Manifest) -> str:
    """README.md: a config per sensor, a row of counts per sensor, and how to read."""
    gap = manifest.proof.get("closest_m")
    return _CARD.format(
        title=manifest.title or manifest.name,
        configs="\n".join(_config(manifest, sensor) for sensor in manifest.sensors),
        written=manifest.counts["written"],
        planned=manifest.counts["planned"],
        dropped=manifest.counts["dropped"],
        failed=manifest.counts["failed"],
        patch=manifest.patch_px,
        resolution=manifest.resolution_m,
        version=manifest.landmark,
        samples="\n".join(
            f"| {sensor} | " + " | ".join(str(counts[split]) for split in SPLITS) + " |"
            for sensor, counts in manifest.samples.items()
        ),
        labels="\n".join(f"| {label} | {count} |" for label, count in manifest.labels.items()) or "| none | 0 |",
        closest="any distance" if gap is None else f"{gap:g} m",
        content=manifest.content,
        lock=manifest.lock_digest,
        licences=", ".join(manifest.licences),
    )


def attribution(manifest: Manifest) -> str:
    """ATTRIBUTION.md: whom to name."""
    return "# Attribution\n\n" + "\n".join(f"- {line}" for line in manifest.attributions) + "\n"


def _config(manifest: Manifest, sensor: str) -> str:
    splits = [split for split in SPLITS if manifest.samples[sensor][split]]
    files = "\n".join(
        f'      - split: {split}\n        path: "shards/g*/{sensor}-{split}-*.parquet"' for split in splits
    )
    return f"  - config_name: {sensor}\n    data_files:\n{files}"
