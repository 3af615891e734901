from pydantic import TypeAdapter

from landmark.domain.acquisition import Acquisition
from tests.parts import acquisition


def test_acquisitions_survive_json_with_their_exact_footprint() -> None:
    adapter = TypeAdapter(Acquisition)
    original = acquisition()
    assert adapter.validate_json(adapter.dump_json(original), strict=True) == original
