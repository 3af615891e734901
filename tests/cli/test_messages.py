"""What the command line prints while it works, and where it fails."""

import logging
import re
import time

import pytest

from landmark.cli.console import format_rate, reporting
from landmark.core.errors import InvalidCorpus
from landmark.core.plural import plural

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.mark.parametrize(
    ("rate", "text"), [(12.4, "12/s"), (1.0, "1/s"), (0.2, "5.0 s each"), (0.01, "100.0 s each"), (0.0, "")]
)
def test_a_low_rate_is_seconds_per_item(rate, text):
    assert format_rate(rate) == text


def test_log_and_progress_lines_begin_with_their_time_and_count_only_the_work_of_this_run(capfd):
    with reporting() as progress:
        logging.getLogger("landmark.test").info("a message")
        progress("pack", 90, 100)
        time.sleep(0.3)
        progress("pack", 100, 100, "cloud 2")
    _, err = capfd.readouterr()
    lines = [re.fullmatch(f"{TIME} (.*)", line).group(1) for line in err.splitlines()]
    assert lines[:2] == ["a message", "pack: 90 of 100"]
    rate = re.fullmatch(r"pack: 100 of 100, (\d+)/s; cloud 2", lines[2])
    assert 3 < int(rate[1]) < 35


@pytest.mark.parametrize(("count", "text"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes")])
def test_counts_agree_with_their_noun(count, text):
    assert plural(count, "class", "classes") == text


@pytest.mark.parametrize(("command", "suggestion"), [(["biuld"], "build"), (["events", "shwo"], "show")])
def test_an_unknown_command_suggests_the_nearest(landmark, command, suggestion):
    code, out, err = landmark(*command)
    assert (code, out) == (2, "") and f"'{suggestion}'" in err


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("--sensors", "s1,s3", "s3"),
        ("--format", "webdataset", ["webdataset"]),
        ("--format", "parquet,zarr", "zarr"),
        ("--region", "11,12,11,13", [11, 12, 11, 13]),
    ],
)
def test_an_invalid_value_is_reported_as_the_option(refusal, recipe, option, text, value):
    error = refusal("build", recipe(), option, text, "--workers", 0)
    assert (error.file, error.key, error.value) == (option, None, value)


def test_a_patch_size_between_multiples_of_six_names_both(refusal, recipe):
    error = refusal("build", recipe(patch_px=224), "--workers", 0)
    assert (error.key, error.value) == ("patch_px", 224) and {"222", "228"} < set(re.findall(r"\d+", error.remedy))


@pytest.mark.parametrize("command", ["check", "recaption", "files", "explain", "sheet"])
def test_a_missing_folder_is_named(refusal, tmp_path, command):
    error = refusal(command, tmp_path / "none", *(["id"] if command == "explain" else []))
    assert (type(error), error.file) == (InvalidCorpus, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyError("a bug"), 70), (MemoryError(), 1), (InvalidCorpus("damaged"), 2), (OSError(28, ""), 1)],
)
@pytest.mark.parametrize("traceback", ["", "1"])
def test_a_fault_exits_with_70_and_shows_a_traceback(landmark, tmp_path, monkeypatch, error, code, traceback):
    def fail(*_, **__):
        raise error

    # No input is known that raises an unexpected exception.
    monkeypatch.setattr("landmark.corpus.manifest.read_document", fail)
    monkeypatch.setenv("LANDMARK_TRACEBACK", traceback)
    status, out, err = landmark("files", tmp_path)
    assert (status, out) == (code, "")
    assert ("Traceback" in err) == (code == 70 and bool(traceback))
    assert all(line.startswith("error: ") for line in err.splitlines()) or traceback
