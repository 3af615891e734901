"""`landmark bench`."""

import json

from tests.conftest import Run


def test_each_sensor_is_read_near_and_far_by_both_ways(landmark: Run) -> None:
    code, said, err = landmark("bench", "demo", "--patches", 40, "--json")
    assert code == 0, err
    found = json.loads(said)
    assert [(one["sensor"], one["cells"]) for one in found] == [
        (sensor, cells) for sensor in ("s1", "s2") for cells in ("neighbouring", "scattered")
    ]
    for one in found:
        bands = 2 if one["sensor"] == "s1" else 12
        assert one["routes"] == {"direct": bands} and one["patches"] == 40 and one["unread"] == 0
        assert one["requests"] >= bands and one["fetched_bytes"] > 40 * 1000
        assert min(one[f"{what}seconds"] for what in ("", "gdal_", "fetch_", "decode_")) > 0
        # On one core or several: cutting cannot take longer than there was time.
        assert one["decode_seconds"] <= one["seconds"]


def test_the_page_says_the_rate_and_what_was_waited_for(landmark: Run) -> None:
    code, said, err = landmark("bench", "demo", "--patches", 9, "--sensors", "s2")
    assert code == 0, err
    assert said.count("9 neighbouring cells of s2_") == said.count("9 scattered cells of s2_") == 1
    assert said.count("patches/s") == said.count("requests") == 2 and "12 direct" in said


def test_a_catalogue_without_images_is_refused(landmark: Run) -> None:
    code, _, err = landmark("bench", "demo", "--region", "0,0,1,1")
    assert code == 2 and "Traceback" not in err
