from tests.captions.golden import FILE, lines


def test_the_words_a_person_read_through_stay_what_they_are():
    assert FILE.read_text().splitlines() == list(lines()), "if the new words are meant: python -m tests.captions.golden"
