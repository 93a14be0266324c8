"""Titles of films of MovieLens in four other languages, and how many an encoder finds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# MovieLens' title, then the film's title in German, Spanish, Russian and Japanese.
FILMS = (
    (
        *("The Silence of the Lambs (1991)", "Das Schweigen der Lämmer"),
        *("El silencio de los corderos", "Молчание ягнят", "羊たちの沈黙"),
    ),
    (
        *("The Lord of the Rings: The Fellowship of the Ring (2001)",),
        *("Der Herr der Ringe: Die Gefährten", "El señor de los anillos: La comunidad del anillo"),
        *("Властелин колец: Братство Кольца", "ロード・オブ・ザ・リング 旅の仲間"),
    ),
    (
        *("Back to the Future (1985)", "Zurück in die Zukunft"),
        *("Regreso al futuro", "Назад в будущее", "バック・トゥ・ザ・フューチャー"),
    ),
    (
        *("Snow White and the Seven Dwarfs (1937)", "Schneewittchen und die sieben Zwerge"),
        *("Blancanieves y los siete enanitos", "Белоснежка и семь гномов", "白雪姫と七人の小人"),
    ),
    (
        *("Beauty and the Beast (1991)", "Die Schöne und das Biest"),
        *("La bella y la bestia", "Красавица и чудовище", "美女と野獣"),
    ),
    (
        *("The Lion King (1994)", "Der König der Löwen"),
        *("El rey león", "Король Лев", "ライオン・キング"),
    ),
    (
        *("Planet of the Apes (1968)", "Planet der Affen"),
        *("El planeta de los simios", "Планета обезьян", "猿の惑星"),
    ),
    (
        *("The Godfather (1972)", "Der Pate"),
        *("El padrino", "Крёстный отец", "ゴッドファーザー"),
    ),
)
NEAREST = 20


def foreign_titles() -> list[str]:
    """Returns all titles that are not English."""
    return [title for _, *others in FILMS for title in others]


def found_share(
    foreign: NDArray[np.float32], embeddings: NDArray[np.float32], titles: Sequence[str]
) -> float | None:
    """Returns the share of foreign titles whose film is among the `NEAREST` titles of a catalog.

    Vectors are compared by cosine, after the mean of the catalog is subtracted.

    Args:
        foreign: `[foreign titles, size]`, embeddings of `foreign_titles()`.
        embeddings: `[1 + titles, size]`, embeddings of the catalog; row 0 is not read.
        titles: titles of the catalog; None is returned if a film is missing there.
    """
    index_of = {title: index for index, title in enumerate(titles)}
    if any(film not in index_of for film, *_ in FILMS):
        return None
    wanted = [index_of[film] for film, *others in FILMS for _ in others]
    centre = embeddings[1:].mean(axis=0)
    cosines = _unit(foreign - centre) @ _unit(embeddings[1:] - centre).T
    nearest = np.argsort(-cosines, axis=1)[:, :NEAREST]
    return float(np.mean([each in row for each, row in zip(wanted, nearest, strict=True)]))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
