"""The table of cells is complete, and says nothing that means nothing."""

from lab.cells import VALUES, VERDICTS, Cell, every, possible, row_of, rows


def test_every_combination_has_a_row() -> None:
    """What can be is judged, and what cannot be has its reason."""
    table = rows()

    assert [] == [cell for cell in every() if row_of(cell, table) is None]


def test_every_row_is_the_first_one_of_some_combination() -> None:
    """A row that no combination gets to would be read and never tried."""
    table = rows()

    assert set(table) == {row_of(cell, table) for cell in every()}


def test_every_row_has_known_words_a_verdict_and_a_reason() -> None:
    """A column with a misspelt value would match nothing."""
    for row in rows():
        words = zip(Cell._fields, row.columns, strict=True)
        unknown = [
            (field, word)
            for field, text in words
            for word in text.removeprefix("!").split(",")
            if word != "*" and word not in VALUES[field]
        ]
        assert ([], True, True) == (unknown, row.verdict in VERDICTS, len(row.why) > len("chain"))


def test_every_value_occurs_in_a_cell_that_is_possible() -> None:
    """So that no source, link, protocol, state or way is excluded as a whole."""
    assert [set(values) for values in VALUES.values()] == [set(found) for found in zip(*possible(), strict=True)]


def test_both_verdicts_are_frequent() -> None:
    """A wall that lets everything in, or nothing, needs no table."""
    verdicts = [verdict for cell, verdict in possible().items() if cell.mode == "closed"]

    assert min(verdicts.count("arrives"), verdicts.count("dropped")) > 20
