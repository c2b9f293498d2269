"""What `quality` stands for, and the words that say what was done to probabilities."""

from __future__ import annotations

from logloss.errors import ArgumentError
from logloss.network.recipe import Recipe

#: Options that are not given, by quality. Of large tables, steps end training before epochs do:
#: what is passed too often is learned by heart, and rows held out at random do not tell where
#: they depend on each other, as flights of one day do.
QUALITIES: dict[str, dict[str, int]] = {
    "fast": {"members": 1, "epochs": 60, "steps": 2000},
    "default": {"members": 8, "epochs": 100, "steps": 5000},
    "best": {"members": 32, "epochs": 100, "steps": 5000},
}


def options_of(quality: str) -> dict[str, int]:
    """Return what a quality decides.

    Raises
    ------
    ArgumentError
        If there is none of this name.
    """
    if quality not in QUALITIES:
        raise ArgumentError(
            f"quality must be one of {', '.join(map(repr, QUALITIES))}; got {quality!r}"
        )
    return QUALITIES[quality]


def notes_of(recipe: Recipe) -> tuple[str, ...]:
    """Say what a loss other than the log loss did to probabilities, and what was done about it."""
    notes = []
    if recipe.pos_weight != 1:
        notes.append(
            f"trained with pos_weight={recipe.pos_weight:g}: log {recipe.pos_weight:g} was taken "
            "off the logits, so that probabilities are those of the rows"
        )
    if recipe.gamma:
        notes.append(
            f"trained on the focal loss, gamma={recipe.gamma:g}: the logits were corrected, so "
            "that probabilities are those of the rows"
        )
    return tuple(notes)
