"""A small archive that all tests of the explorer look at."""

from specvae.spectra import WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.1, 400)
N_SPECTRA, PER_STAR = 60, 3
# What an archive of files from elsewhere may hold.
HOSTILE = "<img src=x onerror=document.title='hit'>"
