from tests.captions.golden import FILE, lines


def test_captions_equal_reviewed_captions():
    assert FILE.read_text().splitlines() == list(lines()), "if intended: python -m tests.captions.golden"
