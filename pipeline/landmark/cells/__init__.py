"""Area → cells of the grid, their Major-TOM names and their blocks for splits."""

from landmark.cells.grid import corner_of, source_cells, utm_cells
from landmark.cells.majortom import majortom_names
from landmark.cells.zones import zone_of

__all__ = ["corner_of", "majortom_names", "source_cells", "utm_cells", "zone_of"]
