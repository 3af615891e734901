"""The check profile, rules files that change it, and the reference generated from it."""

from pathlib import Path

import pytest

from landmark.core.errors import InputError
from landmark.quality.check import CHECKS
from landmark.quality.check_profile import load_check_profile
from landmark.quality.reference import checks_reference
from landmark.quality.rows.row_checks import ROW_CHECKS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"
# Besides checks of rows and of the corpus, these two are part of the pass over the shards.
ALL_CHECKS = CHECKS.keys() | ROW_CHECKS.keys() | {"schema", "pixel-digest"}


def test_the_profile_has_all_checks():
    assert load_check_profile().checks.keys() == ALL_CHECKS


def test_the_reference_is_current():
    """Else run `python -m landmark.cli.reference docs/reference`."""
    assert REFERENCE.read_text() == checks_reference()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("checks: {pears: {severity: off}}", "checks.pears"),
        ("checks: {balance: {limits: {min_share: 2}}}", "checks.balance.limits.min_share"),
        ("checks: {balance: {severity: loud}}", "checks.balance.severity"),
        ("checks: {balance: {limits: {min_share_pct: much}}}", "checks.balance.limits.min_share_pct"),
        ("checks: [balance]", "checks"),
        ("class_groups: {swamp: [water]}", "class_groups"),
    ],
)
def test_a_wrong_rules_file_is_refused(tmp_path, text, key):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_check_profile(path)
    assert (caught.value.file, caught.value.key) == (str(path), key)


def test_a_rules_file_changes_only_the_named_keys(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("checks: {balance: {severity: off}, agreement: {severity: error, limits: {min_mean_pct: 7}}}\n")
    shipped, changed = load_check_profile(), load_check_profile(path)
    agreement, balance = shipped.checks["agreement"], shipped.checks["balance"]
    limits = {**agreement.limits, "min_mean_pct": 7}
    assert changed.checks == {
        **shipped.checks,
        "balance": balance.model_copy(update={"severity": "off"}),
        "agreement": agreement.model_copy(update={"severity": "error", "limits": limits}),
    }
