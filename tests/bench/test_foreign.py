"""Independent defects: each names an active check, and says what was done."""

from bench.registry import DEFECTS

from landmark.quality.check_profile import load_check_profile

INDEPENDENT = [defect for defect in DEFECTS.values() if defect.origin == "independent"]


def test_independent_defects_name_active_checks() -> None:
    assert len(INDEPENDENT) > 100
    assert {defect.check for defect in INDEPENDENT} - load_check_profile().active.keys() <= {""}


def test_kinds_and_descriptions_are_unique() -> None:
    abouts = [defect.about for defect in INDEPENDENT]
    assert sorted(set(abouts)) == sorted(abouts)
    assert all(defect.kind.startswith("independent-") for defect in INDEPENDENT)
