from pathlib import Path

from distilled_recommender.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_of_commands_is_what_the_command_line_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference()
