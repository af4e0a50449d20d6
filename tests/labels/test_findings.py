"""What is wrong with sheets, in words: rows with the same fault in one line, another sample as what it is."""

from common.labels.findings import COLUMNS, Finding, describe


def fault(row: int, column: str = "category", value: str = "Colour", nearest: str = "Count") -> Finding:
    return Finding("assign_A.csv", str(row), "A", column, value, "is not a label", nearest)


def test_rows_with_the_same_fault_are_in_one_line():
    lines = describe([fault(5), fault(9), fault(7, value="Red")], {"assign_A.csv": 50})
    assert lines == [
        "assign_A.csv rows 5, 9: category 'Colour' is not a label; nearest: Count",
        "assign_A.csv row 7: category 'Red' is not a label; nearest: Count",
    ]


def test_a_file_as_a_whole():
    finding = Finding.of_file("assign_A.ods", "can't be read: save it as .csv or .xlsx")
    assert describe([finding], {}) == ["assign_A.ods: can't be read: save it as .csv or .xlsx"]


def test_many_wrong_captions_are_another_sample():
    wrong = [fault(row, "caption", f"text {row}", "") for row in (2, 3, 4)]
    (line,) = describe(wrong, {"assign_A.csv": 30})
    assert line.startswith("assign_A.csv: looks like another sample: 3 of 30 captions differ (rows 2, 3, 4; ")
    assert len(describe(wrong, {"assign_A.csv": 31})) == 3  # less than a tenth: slips


def test_many_rows_are_counted():
    (line,) = describe([fault(row) for row in range(200)], {"assign_A.csv": 200})
    assert ", 98, 99 and 100 more: category" in line


def test_a_row_of_problems_csv():
    assert fault(5).cells() == dict(
        zip(COLUMNS, ["assign_A.csv", "5", "A", "category", "Colour", "is not a label", "Count"], strict=True)
    )
