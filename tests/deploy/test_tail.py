"""Following log files through rotation."""

from pathlib import Path

from deploy.tail import LAST_BYTES, LogTail


def test_the_end_comes_first_then_only_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("old\n" * LAST_BYTES + "last\n")
    tail = LogTail(tmp_path)
    first = tail.new_lines()
    with log.open("a") as file:
        file.write("new\nhalf")
    second = tail.new_lines()
    with log.open("a") as file:
        file.write(" whole\n")

    assert first[-1] == "api          | last"
    assert len(first) < LAST_BYTES
    assert second == ["api          | new"]
    assert tail.new_lines() == ["api          | half whole"]


def test_rotation_and_new_files_lose_no_line(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("one\n")
    tail = LogTail(tmp_path)
    tail.new_lines()
    log.rename(tmp_path / "api.log.1")
    log.write_text("two\n")
    (tmp_path / "storer.log").write_text("born\n")

    assert tail.new_lines() == ["api          | two", "storer       | born"]
