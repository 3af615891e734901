"""Write an evaluation as a folder: Markdown, JSON and figures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from landmark.core.atomic import folder_lock, remove_partials, write_bytes
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import RunMismatch
from landmark.train.retrieval.evaluate import EvaluationReport
from landmark.train.retrieval.tables import make_tables, single_events

MARKDOWN, JSON, CLASSES_PLOT, EVENTS_PLOT = "report.md", "report.json", "classes.png", "events.png"
_LOCK = ".landmark.lock"


@contextmanager
def report_folder(folder: Path) -> Iterator[None]:
    """Lock a folder that is empty or holds a report.

    Raises:
        RunMismatch: it holds other files.
        FolderLocked: another process uses it.
    """
    with folder_lock(folder):
        refuse_links(folder)
        remove_partials(folder)
        own = {MARKDOWN, JSON, CLASSES_PLOT, EVENTS_PLOT, _LOCK}
        if foreign := sorted(path.name for path in folder.iterdir() if path.name not in own):
            problem = "not the folder of a report: it holds other files"
            raise RunMismatch(problem, file=folder, value=foreign[0], remedy="name a new folder with --out")
        yield


def write_report(folder: Path, report: EvaluationReport, title: str) -> None:
    """Write a report to a locked folder; the Markdown, which names the other files, last."""
    from landmark.train.retrieval.plots import draw_classes, draw_events

    draw_classes(report, folder / CLASSES_PLOT)
    if report.events:
        draw_events(report, folder / EVENTS_PLOT)
    else:
        (folder / EVENTS_PLOT).unlink(missing_ok=True)
    write_bytes(folder / JSON, to_json(report).encode())
    write_bytes(folder / MARKDOWN, f"{_markdown(report, title)}\n".encode())


def to_json(report: EvaluationReport) -> str:
    """All figures of a report."""
    return json.dumps(asdict(report), indent=1)


def _markdown(report: EvaluationReport, title: str) -> str:
    blocks = [[f"# {title}"], [f"- {note}" for note in report.notes]]
    blocks += [list(table.to_markdown()) for table in make_tables(report)]
    blocks.append([f"![mAP above chance of each class]({CLASSES_PLOT})"])
    if report.events:
        blocks += [[f"![Events by type and phase]({EVENTS_PLOT})"], list(single_events(report.events).to_markdown())]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)
