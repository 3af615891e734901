"""Files of a corpus's current generation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from landmark.core.errors import GenerationReplaced, InputError, InvalidCorpus
from landmark.core.journal import matches
from landmark.corpus.manifest import Export, Manifest, Shard, read_document

FORMATS = ("parquet", "webdataset")


def list_files(
    root: Path, manifest: Manifest, *, split: str | None = None, sensor: str | None = None, format: str = "parquet"
) -> list[Path]:
    """Paths of the shards, or of their .tar files, in the order of the manifest.

    Raises:
        InputError: the corpus has no such split, sensor or format.
        GenerationReplaced: a newer generation has replaced them.
        InvalidCorpus: one is missing or has another size than recorded.
    """
    files = select_files(manifest, split=split, sensor=sensor, format=format)
    return [locate(root, manifest, file) for file in files]


def select_files(
    manifest: Manifest, *, split: str | None = None, sensor: str | None = None, format: str = "parquet"
) -> Sequence[Shard | Export]:
    """The shards, or their .tar files, in the order of the manifest.

    Raises:
        InputError: the corpus has no such split, sensor or format.
    """
    splits = {name for counts in manifest.samples.values() for name in counts}
    for key, value, known in (
        ("split", split, splits),
        ("sensor", sensor, manifest.sensors),
        ("format", format, FORMATS),
    ):
        if value not in {None, *known}:
            raise InputError("no such files", key=key, value=value, remedy=f"choose one of {', '.join(sorted(known))}")
    shards = [shard for shard in manifest.shards if split in (None, shard.split) and sensor in (None, shard.sensor)]
    return shards if format == "parquet" else _exports(manifest, shards)


def _exports(manifest: Manifest, shards: Iterable[Shard]) -> list[Export]:
    exports = {export.shard: export for export in manifest.exports}
    if missing := [shard.path for shard in shards if shard.path not in exports]:
        raise InputError(
            f"no .tar was made of {missing[0]}",
            key="format",
            value="webdataset",
            remedy="`landmark build` of its recipe with --format parquet,webdataset adds them",
        )
    return [exports[shard.path] for shard in shards]


def locate(root: Path, manifest: Manifest, file: Shard | Export) -> Path:
    """Path of a file of a manifest that was read earlier.

    Raises:
        GenerationReplaced: a newer generation has replaced it.
        InvalidCorpus: it is missing, has another size than recorded, or is behind a link to a folder.
    """
    if matches(root, file, hashed=False):
        return root / file.path
    current: Manifest = read_document(Manifest, root / "corpus.json")
    if file not in current.files:
        raise GenerationReplaced(
            f"{file.path} was replaced by a newer generation", file=root, remedy="open the corpus again"
        )
    raise InvalidCorpus(
        "missing, or another size than recorded",
        file=root / file.path,
        remedy=f"copy it from where the corpus was sealed, or delete {root / 'corpus.json'} and build again",
    )
