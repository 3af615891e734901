"""`landmark sheet`: a contact sheet of a corpus."""

from pathlib import Path
from typing import Annotated

import typer

from landmark.cli.echo import echo
from landmark.core.errors import InputError


def sheet(
    corpus: Annotated[Path, typer.Argument(help="A sealed corpus.")],
    out: Annotated[Path, typer.Option(help="An image (.png), or a page with all facts of each sample (.html).")] = Path(
        "sheet.png"
    ),
    pairs: Annotated[int, typer.Option(min=1, help="Number of cells, optical beside radar.")] = 12,
    seed: Annotated[int, typer.Option(help="Another seed shows other cells.")] = 0,
) -> None:
    """Draw a contact sheet: samples of both sensors with their captions."""
    from PIL import Image

    import landmark
    from landmark.core.atomic import atomic_path
    from landmark.report.page import render_page
    from landmark.report.sheet import draw_contact_sheet

    image_format = Image.registered_extensions().get(out.suffix.lower())
    if image_format is None and out.suffix != ".html":
        raise InputError("neither a page nor an image", file=f"--out {out}", remedy="name it .html or .png")
    if out.is_dir():
        raise InputError("is a folder", file=f"--out {out}", remedy="name a file")
    try:
        # A link of this name, as in a stranger's folder, is replaced and not followed.
        with atomic_path(out) as partial:
            if image_format is None:
                partial.write_text(render_page(landmark.open(corpus), pairs=pairs, seed=seed), encoding="utf-8")
            else:
                draw_contact_sheet(landmark.open(corpus), pairs=pairs, seed=seed).save(partial, image_format)
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be written: {error}", file=f"--out {out}") from error
    echo(out)
