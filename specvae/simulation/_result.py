"""What a simulation gives."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class SimulatedSpectra:
    """Spectra and what caused them; axis 0 is the spectrum everywhere.

    Flux is in electrons per Angstrom, merged from the echelle orders with the blaze taken out;
    photons per Angstrom where there is no instrument. A pixel that the instrument does not record
    is NaN.

    Attributes
    ----------
    flux : ndarray of float32, shape (n_spectra, n_pixels)
        With noise.
    noiseless_flux : ndarray of float32, shape (n_spectra, n_pixels)
        What the mean of many draws comes to.
    sigma : ndarray of float32, shape (n_spectra, n_pixels)
        Standard deviation of the noise, without cosmic rays.
    labels : DataFrame of shape (n_spectra, n_labels)
        Every label of the model, those not given with their defaults.
    groups : ndarray of shape (n_spectra,)
        Id of the star.
    unknown : DataFrame of shape (n_spectra, n_factors)
        Factors that were switched on, which no label tells.
    """

    flux: np.ndarray
    noiseless_flux: np.ndarray
    sigma: np.ndarray
    labels: pd.DataFrame
    groups: np.ndarray
    unknown: pd.DataFrame
