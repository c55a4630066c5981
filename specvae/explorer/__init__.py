"""A page to look at an archive with: latent map, spectra, sliders (extra `explorer`)."""

from ._explore import Explorer, explore, serve

__all__ = ["Explorer", "explore", "serve"]
