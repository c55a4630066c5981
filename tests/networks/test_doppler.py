import numpy as np
import pytest
import torch

from specvae.networks import DopplerShift
from specvae.spectra import WavelengthGrid, doppler_factor

LINEAR = WavelengthGrid(4820.0, 0.1, 400)
LOG = WavelengthGrid(15_000.0, 6e-6, 400, spacing="log")


def make_shift(grid):
    return DopplerShift(
        torch.from_numpy(grid.wavelength_aa), grid.step, is_log=grid.spacing == "log"
    )


def line(grid, velocity_kms, width_pixels=4.0):
    """A Gaussian line in the middle, as the source at that velocity shows it."""
    middle = grid.wavelength_aa[200]
    emitted = grid.wavelength_aa / doppler_factor(velocity_kms)
    width = width_pixels * (grid.wavelength_aa[201] - middle)
    return 1.0 - 0.5 * np.exp(-0.5 * ((emitted - middle) / width) ** 2)


@pytest.mark.parametrize("grid", [LINEAR, LOG])
@pytest.mark.parametrize("velocity_kms", [-83.0, -0.7, 0.01, 12.5, 240.0])
def test_line_moves_as_the_formula_says(grid, velocity_kms):
    at_rest = torch.from_numpy(line(grid, 0.0))[None].float()
    moved = make_shift(grid)(at_rest, torch.tensor([velocity_kms]))
    np.testing.assert_allclose(moved[0].numpy(), line(grid, velocity_kms), atol=5e-4)


def test_each_spectrum_has_its_velocity_and_none_changes_nothing():
    flux = torch.from_numpy(np.stack([line(LINEAR, 0.0), line(LINEAR, 5.0)])).float()
    shifted = make_shift(LINEAR)(flux, torch.tensor([0.0, 20.0]))
    assert torch.equal(shifted[0], flux[0])
    alone = make_shift(LINEAR)(flux[1:], torch.tensor([20.0]))
    assert torch.equal(shifted[1], alone[0])


def test_gradients_of_flux_and_velocity():
    grid = WavelengthGrid(5000.0, 0.1, 12)
    generator = torch.Generator().manual_seed(0)
    flux = torch.rand((2, 12), generator=generator, dtype=torch.float64, requires_grad=True)
    # Not where the places pass from one pixel to the next.
    velocity = torch.tensor([3.0, -10.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(make_shift(grid).double(), (flux, velocity))


def test_velocity_is_found_by_descending():
    grid, shift = LINEAR, make_shift(LINEAR)
    at_rest = torch.from_numpy(line(grid, 0.0))[None].float()
    observed = torch.from_numpy(line(grid, 20.0))[None].float()
    velocity = torch.tensor([0.0], requires_grad=True)
    optimizer = torch.optim.Adam([velocity], lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        (shift(at_rest, velocity) - observed).square().sum().backward()
        optimizer.step()
    assert velocity.item() == pytest.approx(20.0, abs=0.1)


def test_ends_go_on_and_wild_velocities_do_no_harm():
    flux = torch.arange(400.0)[None]
    shifted = make_shift(LINEAR)(flux, torch.tensor([100.0]))
    assert shifted[0, 0] == pytest.approx(0.0, abs=1e-3)
    wild = make_shift(LINEAR)(flux.expand(2, -1), torch.tensor([1e9, -torch.inf]))
    assert torch.isfinite(wild).all()
