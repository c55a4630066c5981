"""Spectra whose causes are known."""

from ._simple import SimulatedSpectra, simulate_spectra

__all__ = ["SimulatedSpectra", "simulate_spectra"]
