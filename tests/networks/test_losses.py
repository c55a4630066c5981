import math

import pytest
import torch

from specvae.networks._losses import masked_l1, reconstruction_loss

NAN = float("nan")
KINDS = ["l1", "l2", "huber", "cauchy"]


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


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


# Residuals 1 and -4 at delta 2, a missing pixel between them.
@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        ("l1", (1 + 4) / 2),
        ("l2", (1 + 16) / 2),
        ("huber", (0.5 + 2 * (4 - 1)) / 2),
        ("cauchy", 4 * (math.log(1.25) + math.log(5.0)) / 2),
    ],
)
def test_reconstruction_loss_by_hand(kind, by_hand):
    flux = torch.tensor([[2.0, NAN, 3.0]])
    reconstruction = torch.tensor([[3.0, 7.0, -1.0]])
    loss = reconstruction_loss(reconstruction, flux, kind=kind, delta=2.0)
    torch.testing.assert_close(loss, torch.tensor([by_hand]))


# Inverse variances 1 and 7 of mean 4 scale the residuals 2 and 4 to 1 and 4 sqrt(7/4) = sqrt(28).
@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        ("l1", (1 + math.sqrt(28)) / 2),
        ("l2", (1 + 28) / 2),
        ("huber", (0.5 + 2 * (math.sqrt(28) - 1)) / 2),
        ("cauchy", 4 * (math.log(1.25) + math.log(8.0)) / 2),
    ],
)
def test_weighted_reconstruction_loss_by_hand(kind, by_hand):
    flux = torch.tensor([[0.0, NAN, 0.0, 0.0, 0.0, 0.0]])
    inverse_variance = torch.tensor([[1.0, 5.0, 0.0, NAN, float("inf"), 7.0]])
    reconstruction = torch.tensor([[2.0, 9.0, 9.0, 9.0, 9.0, 4.0]])
    loss = reconstruction_loss(
        reconstruction, flux, kind=kind, inverse_variance=inverse_variance, delta=2.0
    )
    torch.testing.assert_close(loss, torch.tensor([by_hand]))


@pytest.mark.parametrize("kind", KINDS)
def test_only_ratios_within_a_spectrum_matter(kind):
    flux, reconstruction = draw(3, 6), draw(3, 6, seed=1)
    precision = draw(3, 6, seed=2).square()
    loss = reconstruction_loss(reconstruction, flux, kind=kind, inverse_variance=precision)
    scaled = precision * torch.tensor([[1e-4], [1.0], [1e6]], dtype=torch.float64)
    torch.testing.assert_close(
        reconstruction_loss(reconstruction, flux, kind=kind, inverse_variance=scaled), loss
    )
    equal = torch.full_like(flux, 400.0)
    torch.testing.assert_close(
        reconstruction_loss(reconstruction, flux, kind=kind, inverse_variance=equal),
        reconstruction_loss(reconstruction, flux, kind=kind),
    )


def test_flux_in_physical_units_keeps_its_precisions():
    # 5000 inverse variances of 1e36 have a sum that float32 cannot hold.
    flux, reconstruction = torch.zeros(1, 5000), torch.full((1, 5000), 2e-18)
    precision = torch.full((1, 5000), 1e36)
    loss = reconstruction_loss(reconstruction, flux, inverse_variance=precision)
    torch.testing.assert_close(loss, torch.tensor([2e-18]), rtol=1e-5, atol=0.0)


def test_an_outlier_pulls_without_end_only_where_it_should():
    flux = torch.zeros(1, 1)
    pull = {}
    for kind in KINDS:
        reconstruction = torch.full((1, 1), 100.0, requires_grad=True)
        reconstruction_loss(reconstruction, flux, kind=kind).sum().backward()
        pull[kind] = reconstruction.grad.item()
    assert pull["l2"] == 200.0
    assert pull["l1"] == pull["huber"] == 1.0
    assert pull["cauchy"] == pytest.approx(2 * 100 / (1 + 100**2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_every_kind(kind, weighted):
    flux, reconstruction = draw(3, 5), draw(3, 5, seed=1).requires_grad_()
    flux[1, 2] = NAN
    precision = None
    if weighted:
        precision = draw(3, 5, seed=2).square() + 0.1
        precision[0, 0], precision[2, 1] = 0.0, NAN

    def loss(x):
        return reconstruction_loss(x, flux, kind=kind, inverse_variance=precision, delta=0.8)

    assert torch.autograd.gradcheck(loss, (reconstruction,))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_valid_costs_nothing_and_pulls_nowhere(kind):
    reconstruction = torch.ones(3, 2, requires_grad=True)
    flux = torch.tensor([[NAN, NAN], [NAN, 2.0], [0.0, 0.0]])
    precision = torch.tensor([[1.0, 1.0], [1.0, 0.0], [NAN, 0.0]])
    loss = reconstruction_loss(reconstruction, flux, kind=kind, inverse_variance=precision)
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(3))
    assert torch.equal(reconstruction.grad, torch.zeros(3, 2))


def test_dtype_is_kept():
    flux = torch.zeros(2, 3)
    for kind in KINDS:
        loss = reconstruction_loss(flux + 1, flux, kind=kind, inverse_variance=flux + 1)
        assert loss.dtype == torch.float32 and loss.shape == (2,)


def test_refusals():
    flux = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="kind must be 'l1', 'l2', 'huber' or 'cauchy'; got 'L1'"):
        reconstruction_loss(flux, flux, kind="L1")
    with pytest.raises(ValueError, match=r"reconstruction \(3,\), flux \(2, 3\)"):
        reconstruction_loss(flux[0], flux)
    with pytest.raises(ValueError, match=r"inverse_variance \(3,\)"):
        reconstruction_loss(flux, flux, inverse_variance=flux[0])
