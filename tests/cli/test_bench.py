"""`landmark bench`."""

import json

from landmark.core.errors import EmptySearch


def test_each_sensor_is_read_neighbouring_and_scattered_by_both_readers(landmark):
    code, out, err = landmark("bench", "demo-easy", "--patches", 40, "--json")
    assert code == 0, err
    speeds = json.loads(out)
    assert [(speed["sensor"], speed["cells"]) for speed in speeds] == [
        (sensor, cells) for sensor in ("s1", "s2") for cells in ("neighbouring", "scattered")
    ]
    for speed in speeds:
        bands = 2 if speed["sensor"] == "s1" else 12
        assert (speed["routes"], speed["patches"], speed["unread"]) == ({"direct": bands}, 40, 0)
        assert speed["requests"] >= bands and speed["fetched_bytes"] > 40 * 1000
        assert min(speed[f"{stage}seconds"] for stage in ("", "gdal_", "fetch_", "decode_")) > 0
        # On any number of cores, decoding is a part of the elapsed time.
        assert speed["decode_seconds"] <= speed["seconds"]


def test_page_shows_rates_and_requests(landmark):
    code, page, err = landmark("bench", "demo-easy", "--patches", 9, "--sensors", "s2")
    assert code == 0, err
    assert page.count("9 neighbouring cells of s2_") == page.count("9 scattered cells of s2_") == 1
    assert page.count("patches/s") == page.count("requests") == 2 and "12 direct" in page


def test_region_without_images_is_refused(refusal):
    assert isinstance(refusal("bench", "demo-easy", "--region", "0,0,1,1"), EmptySearch)
