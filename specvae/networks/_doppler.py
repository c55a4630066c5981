"""The Doppler shift of a spectrum, with a gradient by which the velocity is learnt."""

import math

import torch
from torch import Tensor, nn

SPEED_OF_LIGHT_KMS = 299_792.458
# Where a network may stray before it has learnt anything; beyond, the formula ends.
_FASTEST = 0.1


class DopplerShift(nn.Module):
    """Flux of a source at rest to that of one that recedes, on the same pixels.

    Parameters
    ----------
    wavelength_aa : Tensor of float64, shape (n_pixels,)
        Uniform, or uniform in the logarithm.
    step : float
        Distance of two pixels: Angstrom, or dex where `is_log`.
    is_log : bool, default=False

    Notes
    -----
    Cubic convolution (Keys 1981, IEEE Trans. Acoust. Speech Signal Process. 29, 1153) at the
    wavelengths from which the light comes, by the relativistic formula and without a change of the
    flux; beyond the first and the last pixel their flux goes on.
    """

    pixels_per_stretch: Tensor

    def __init__(self, wavelength_aa: Tensor, step: float, *, is_log: bool = False):
        super().__init__()
        self.is_log = is_log
        if is_log:
            rate = torch.full_like(wavelength_aa, 1.0 / (step * math.log(10.0)))
        else:
            rate = wavelength_aa / step
        # It follows from the grid, so that no file need hold it.
        self.register_buffer("pixels_per_stretch", rate.float(), persistent=False)

    def forward(self, flux: Tensor, velocity_kms: Tensor) -> Tensor:
        """Shift flux (batch, n_pixels) by velocities (batch,), positive away from us."""
        beta = (velocity_kms / SPEED_OF_LIGHT_KMS).clamp(-_FASTEST, _FASTEST)
        stretch = -torch.atanh(beta)  # log of emitted over observed wavelength
        if not self.is_log:
            # Not exp - 1: in float32 it would lose a hundredth of a pixel.
            stretch = torch.expm1(stretch)
        offset = stretch[:, None] * self.pixels_per_stretch  # (batch, n_pixels)
        whole = offset.floor()
        t = offset - whole
        last = flux.shape[1] - 1
        first = torch.arange(last + 1, device=flux.device) + whole.long()
        a, b, c, d = (
            flux.gather(1, (first + tap).clamp(0, last)) for tap in (-1, 0, 1, 2)
        )  # each (batch, n_pixels)
        cubic = 3.0 * (b - c) + d - a
        square = 2.0 * a - 5.0 * b + 4.0 * c - d
        return b + 0.5 * t * ((c - a) + t * (square + t * cubic))
