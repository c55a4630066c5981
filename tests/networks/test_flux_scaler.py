import torch

from specvae.networks import FluxScaler

NAN = float("nan")


def test_missing_and_unseen_pixels_become_the_mean():
    scaler = FluxScaler(torch.tensor([1.0, 2.0, NAN]), 0.5)
    scaled = scaler(torch.tensor([[1.5, NAN, 7.0]]))
    torch.testing.assert_close(scaled, torch.tensor([[1.0, 0.0, 0.0]]))


def test_inverse_undoes_forward():
    scaler = FluxScaler(torch.tensor([1.0, 2.0]), 0.5)
    flux = torch.tensor([[0.25, 3.0]])
    torch.testing.assert_close(scaler.inverse(scaler(flux)), flux)


def test_cosmic_rays_are_clipped():
    scaler = FluxScaler(torch.zeros(2), 1.0)
    torch.testing.assert_close(scaler(torch.tensor([[1e6, -1e6]])), torch.tensor([[20.0, -20.0]]))


def test_statistics_are_no_parameters():
    assert list(FluxScaler(torch.zeros(2), 1.0).parameters()) == []
