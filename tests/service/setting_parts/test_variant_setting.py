from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.setting_parts.variants import VariantSetting, parse_variants
from service.settings import Settings


def test_a_list_names_bundles_and_weights() -> None:
    assert parse_variants("old=work/a:9, new=/b:0.5,third=C:/c") == [
        VariantSetting("old", Path("work/a"), 9),
        VariantSetting("new", Path("/b"), 0.5),
        VariantSetting("third", Path("C:/c"), 1),
    ]


def test_a_folder_means_all_bundles_in_it(save_bundle_with: Callable[..., Path]) -> None:
    folder = save_bundle_with(name="b").parent
    save_bundle_with(name="a")
    (folder / "empty").mkdir()
    (folder / "active").symlink_to("a")
    assert parse_variants(str(folder)) == [
        VariantSetting("a", folder / "a"),
        VariantSetting("b", folder / "b"),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("b=v, a=x, a=y, b=z", "repeated names: a, b"),
        ("b=y, a=x:0", "'a=x:0' has the weight 0: a weight must be more than 0"),
        ("a=x:-1", "'a=x:-1' has the weight -1: a weight must be more than 0"),
        ("a=x, y", "'y' is not `name=path:weight`"),
        ("a b=x", "'a b=x' is not"),
        ("nowhere", "nowhere holds no bundle"),
    ],
)
def test_a_value_that_is_neither_list_nor_folder_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_variants(text)
    with pytest.raises(ValidationError, match=complaint):
        Settings(variants=text)


def test_without_the_setting_there_is_one_variant() -> None:
    assert Settings(bundle_path=Path("x")).served_variants == [VariantSetting("default", Path("x"))]
