"""Fingerprints of sections, which all settings share."""

from collections.abc import Set
from typing import ClassVar

from training.settings.student import StudentConfig


class LaterStudentConfig(StudentConfig):
    """The settings of a student, as a later version of the program would have them."""

    expansion: int = 1
    ADDED_LATER: ClassVar[Set[str]] = {*StudentConfig.ADDED_LATER, "expansion"}


def test_a_setting_that_was_added_later_enters_a_fingerprint_only_off_its_default() -> None:
    before = StudentConfig(num_layers=3).fingerprint_content()

    assert LaterStudentConfig(num_layers=3).fingerprint_content() == before
    changed = LaterStudentConfig(num_layers=3, expansion=2).fingerprint_content()
    assert changed == {**before, "expansion": 2}


def test_a_fingerprint_holds_all_settings_but_those_that_are_excluded() -> None:
    content = StudentConfig(block="ligr").fingerprint_content(exclude={"dropout"})
    assert set(content) == set(StudentConfig.model_fields) - {"dropout"}


def test_a_changed_default_enters_a_fingerprint_and_the_former_value_does_not() -> None:
    assert "block" not in StudentConfig(block="pre-norm").fingerprint_content()
    assert StudentConfig().fingerprint_content()["block"] == "original"


def test_a_student_without_attention_has_no_kind_of_block_in_its_fingerprint() -> None:
    contents = [
        StudentConfig(kind="gru4rec", block=block).fingerprint_content()
        for block in ("pre-norm", "original")
    ]
    assert contents[0] == contents[1]
    assert "block" not in contents[0]
