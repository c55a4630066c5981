"""Steps before the network: transformers that treat each spectrum by itself, and a quality report.

All take an ndarray or a `SpectraArray`; the second stays lazy, except in `SpectraLoader`.
"""

from ._continuum import ContinuumNormalizer
from ._loader import SpectraLoader
from ._mask import PixelMasker
from ._median import MedianNormalizer, valid_median
from ._quality import QualityReport, der_snr, quality_report
from ._resampler import SpectrumResampler

__all__ = [
    "ContinuumNormalizer",
    "MedianNormalizer",
    "PixelMasker",
    "QualityReport",
    "SpectraLoader",
    "SpectrumResampler",
    "der_snr",
    "quality_report",
    "valid_median",
]
