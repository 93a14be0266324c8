import numpy as np
import pandas as pd
import pytest

from training.data.sources.movielens import ratings_to_raw, read_movielens, readable_title


@pytest.mark.parametrize(
    ("title", "year", "expected"),
    [
        ("Toy Story", 1995, "Toy Story (1995)"),
        ("Usual Suspects, The", 1995, "The Usual Suspects (1995)"),
        ("Fish Called Wanda, A", 1988, "A Fish Called Wanda (1988)"),
        ("Valachi Papers,The", 1972, "The Valachi Papers (1972)"),
        ("Blind Side, The ", 2009, "The Blind Side (2009)"),
        ("Boot, Das (Boat, The)", 1981, "Das Boot (The Boat) (1981)"),
        ("Bear, The (Ours, L')", 1988, "The Bear (L'Ours) (1988)"),
        ("O Brother, Where Art Thou?", 2000, "O Brother, Where Art Thou? (2000)"),
        ("Ilsa, She Wolf of the SS", 1974, "Ilsa, She Wolf of the SS (1974)"),
        ("Un  condamné à mort", None, "Un condamné à mort"),
    ],
)
def test_a_title_is_put_into_reading_order(title: str, year: int | None, expected: str) -> None:
    assert readable_title(title, year) == expected


@pytest.fixture
def ratings() -> pd.DataFrame:
    rows = [
        (20, "Hamlet", 2000.0, "Drama|Romance", 1, 5.0, 300),
        (7, "Hamlet", 2000.0, "(no genres listed)", 1, 0.5, 100),
        (99, None, np.nan, "Comedy", 1, 4.0, 200),
        (20, "Hamlet", 2000.0, "Drama|Romance", 2, 1.0, 50),
    ]
    columns = ["movieId", "title", "year", "genres", "userId", "rating", "timestamp"]
    return pd.DataFrame(rows, columns=columns)


def test_films_with_the_same_title_stay_distinct(ratings: pd.DataFrame) -> None:
    catalog = ratings_to_raw(ratings).catalog

    assert catalog.item_ids == ("7", "20")
    assert catalog.titles == ("Hamlet (2000)", "Hamlet (2000)")


def test_genres_and_year_become_attributes(ratings: pd.DataFrame) -> None:
    assert ratings_to_raw(ratings).catalog.attributes == (
        {"year": ("2000",)},
        {"genres": ("Drama", "Romance"), "year": ("2000",)},
    )


def test_every_rating_of_a_titled_film_is_an_interaction(ratings: pd.DataFrame) -> None:
    raw = ratings_to_raw(ratings)

    assert raw.user_ids == ("1", "2")
    assert raw.item_indices.tolist() == [1, 2, 2]
    assert raw.source_rows.tolist() == [2, 1, 4]


def test_the_real_table_has_its_published_size_without_untitled_films() -> None:
    """100,004 ratings of 9,066 films, seven ratings of five films without a title."""
    raw = read_movielens()

    assert len(raw.user_ids) == 671
    assert raw.catalog.num_items == 9_066 - 5
    assert len(raw.users) == 100_004 - 7
    assert raw.catalog.titles[0] == "Toy Story (1995)"
