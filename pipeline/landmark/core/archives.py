"""Zip archives within limits: what a zip announces is checked before any of it is unpacked."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path

from landmark.core.errors import InputError
from landmark.core.limits import ZIP_BYTES, ZIP_MEMBERS, ZIP_RATIO

# Raised by zipfile on truncated or corrupt archives, corrupt streams, passwords and unknown compressions.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
_ENCRYPTED = 0x1
_LOCAL_HEADER_BYTES = 30


@dataclass(slots=True)
class ZipBudget:
    """What has been unpacked of an archive, and of the archives in it.

    Attributes:
        packed: Bytes of the outermost archive.
        unpacked: Bytes of the members that were admitted.
        members: Members of all archives.
    """

    packed: int
    unpacked: int = 0
    members: int = 0

    def admit(
        self, archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], label: str, folder: Path | None = None
    ) -> None:
        """Add members that are about to be unpacked into a folder. `zipfile` never unpacks more than they announce.

        Args:
            archive: The archive, whose members all count.
            members: Those to unpack.
            label: Names the archive in errors.
            folder: Where they will be unpacked; none if they are read in place.

        Raises:
            InputError: beyond a limit or the free disk; a member is encrypted, a link, or overlaps another.
        """
        self.members += len(archive.infolist())
        self.unpacked += sum(member.file_size for member in members)
        limits = (
            ("members", self.members, ZIP_MEMBERS),
            ("unpacked bytes", self.unpacked, ZIP_BYTES),
            ("unpacked bytes per packed byte", self.unpacked // max(self.packed, 1), ZIP_RATIO),
        )
        for name, count, limit in limits:
            if count > limit:
                raise InputError(f"{count} {name}, more than {limit}", file=label, remedy="unzip it by hand")
        if folder is not None and self.unpacked > (free := shutil.disk_usage(folder).free):
            remedy = "free some space, or set TMPDIR to a larger disk"
            raise InputError(f"unpacks to {self.unpacked} bytes, and {folder} has {free}", file=label, remedy=remedy)
        for member in members:
            if (problem := _problem(member)) is not None:
                raise InputError(problem, file=label, value=member.filename, remedy="unzip it by hand")
        _check_overlap(archive, label)


def _problem(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not unpacked."""
    if member.flag_bits & _ENCRYPTED:
        return "a member is encrypted"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a member is a link"
    return None


def _check_overlap(archive: zipfile.ZipFile, label: str) -> None:
    end = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        if member.header_offset < end:
            remedy = "download it again"
            raise InputError("members share their bytes", file=label, value=member.filename, remedy=remedy)
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
