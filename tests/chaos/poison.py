"""The word that a poisoned agent dies of."""

from typing import Final

POISON: Final = "mandragora"
