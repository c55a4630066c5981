import torch

from specvae.networks import masked_l1

NAN = float("nan")


def test_masked_l1_by_hand():
    flux = torch.tensor([[1.0, NAN, 3.0], [0.0, 0.0, 0.0]])
    reconstruction = torch.tensor([[2.0, 9.0, 3.5], [1.0, -2.0, 3.0]])
    torch.testing.assert_close(masked_l1(reconstruction, flux), torch.tensor([0.75, 2.0]))


def test_missing_pixels_get_no_gradient():
    flux = torch.tensor([[1.0, NAN]])
    reconstruction = torch.tensor([[2.0, 5.0]], requires_grad=True)
    masked_l1(reconstruction, flux).sum().backward()
    torch.testing.assert_close(reconstruction.grad, torch.tensor([[1.0, 0.0]]))


def test_gradient_against_finite_differences():
    generator = torch.Generator().manual_seed(0)
    flux = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    flux[1, 2] = NAN
    reconstruction = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    reconstruction.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: masked_l1(x, flux), (reconstruction,))


def test_empty_spectrum_costs_nothing():
    reconstruction = torch.ones(1, 2, requires_grad=True)
    loss = masked_l1(reconstruction, torch.full((1, 2), NAN))
    loss.sum().backward()
    assert loss.item() == 0.0
    assert reconstruction.grad.abs().sum() == 0.0
