"""Fitted estimators on disk: one file that holds data only, and runs nothing when it is read."""

from ._astro_machines import PublishedNormalizer, load_astro_machines
from ._card import model_card
from ._load import load
from ._save import save

__all__ = ["PublishedNormalizer", "load", "load_astro_machines", "model_card", "save"]
