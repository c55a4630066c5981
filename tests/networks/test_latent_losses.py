import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from specvae.networks._latent_losses import joint_mmd, kl_to_unit_normal


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_kl_by_hand():
    mean = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    log_variance = torch.tensor([[0.0, 0.0], [math.log(4.0), math.log(0.25)]])
    second = 0.5 * (1 + 4 - 1 - math.log(4.0)) + 0.5 * (0.25 - 1 + math.log(4.0))
    by_hand = torch.tensor([2.0, second])
    torch.testing.assert_close(kl_to_unit_normal(mean, log_variance), by_hand)


def test_kl_as_torch_has_it():
    mean, log_variance = draw(5, 7), draw(5, 7, seed=1)
    other = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_unit_normal(mean, log_variance), other.sum(dim=-1))


def test_kl_weights_each_latent():
    mean = torch.tensor([[2.0, 4.0, 6.0]])  # 2, 8 and 18 nats
    weight = torch.tensor([1.0, 0.5, 0.0])
    weighted = kl_to_unit_normal(mean, torch.zeros(1, 3), weight=weight)
    torch.testing.assert_close(weighted, torch.tensor([6.0]))


def test_kl_of_a_dead_latent_keeps_its_digits():
    log_variance = torch.tensor([[1e-4]])  # float32; the divergence is its square over 4
    divergence = kl_to_unit_normal(torch.zeros(1, 1), log_variance)
    torch.testing.assert_close(divergence, torch.tensor([2.5e-9]), rtol=0.05, atol=0.0)
    assert (kl_to_unit_normal(torch.zeros(1, 1), torch.zeros(1, 1)) == 0).all()


def test_kl_gradient():
    inputs = (draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_())
    weight = draw(4, seed=2).abs()
    assert torch.autograd.gradcheck(kl_to_unit_normal, inputs)
    assert torch.autograd.gradcheck(lambda m, v: kl_to_unit_normal(m, v, weight=weight), inputs)


def test_kl_refusals():
    codes = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"log_variance \(3,\)"):
        kl_to_unit_normal(codes, codes[0])
    with pytest.raises(ValueError, match=r"weight \(2,\)"):
        kl_to_unit_normal(codes, codes, weight=torch.ones(2))


def test_mmd_by_hand():
    codes = torch.tensor([[0.0, 0.0], [3.0, 4.0]])  # squared distance 25
    draws = torch.tensor([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])  # 16, 9 and 25
    # Between: 0, 16, 9 from the first code and 25, 9, 16 from the second.

    def at(b):
        k = [math.exp(-d / b) for d in (0, 9, 16, 25)]
        within_draws = (k[2] + k[1] + k[3]) / 3
        between = (k[0] + k[2] + k[1] + k[3] + k[1] + k[2]) / 6
        return k[3] + within_draws - 2 * between

    torch.testing.assert_close(
        joint_mmd(codes, draws, bandwidths=[10.0]), torch.tensor(at(10.0)), rtol=1e-5, atol=1e-6
    )
    # The ten pooled distances: 0, 9, 9, 9, 16, 16, 16, 25, 25, 25; the lower middle one is 16.
    by_median = sum(at(16.0 * f) for f in (0.25, 0.5, 1.0, 2.0, 4.0)) / 5
    torch.testing.assert_close(
        joint_mmd(codes, draws), torch.tensor(by_median), rtol=1e-5, atol=1e-6
    )


# The batch and the number of latents of the published network; each statistic from 200 batches.
N_BATCHES, BATCH, N_LATENTS = 200, 32, 32


def one_cause(z):
    """Unit normal latents, any two of which have a correlation of 0.9."""
    n_latents = z.shape[1]
    covariance = 0.1 * torch.eye(n_latents).double() + 0.9
    return z @ torch.linalg.cholesky(covariance).T


def unchanged(z):
    return z


OTHER_CODES = {"narrow": lambda z: 0.5 * z, "collapsed": torch.zeros_like, "dependent": one_cause}


def published_mmd(codes, draws):
    """A wide kernel for each latent, with the terms i = j: what `joint_mmd` is to improve on."""

    def kernel(x, y):
        return torch.exp(-(x[:, None] - y[None]).square() / N_LATENTS).mean(dim=(0, 1))

    return (kernel(codes, codes) + kernel(draws, draws) - 2 * kernel(codes, draws)).mean()


def over_batches(statistic, change, **options):
    """Return the statistic of changed codes in each batch, shape (N_BATCHES,)."""
    codes, draws = draw(2, N_BATCHES, BATCH, N_LATENTS, seed=3)
    pairs = zip(codes, draws, strict=True)
    return torch.stack([statistic(change(z), y, **options) for z, y in pairs])


@pytest.mark.parametrize("bandwidths", [None, [4.0, 64.0]])
def test_mmd_of_the_prior_is_zero_on_average(bandwidths):
    null = over_batches(joint_mmd, unchanged, bandwidths=bandwidths)
    assert null.mean().abs() < 3 * null.std() / math.sqrt(N_BATCHES)
    assert 0.3 < (null < 0).double().mean() < 0.7


def test_mmd_by_median_has_no_bias_at_all():
    # Over all ways to deal six rows to codes and draws, the mean is zero, not zero within noise.
    rows = draw(6, 2)
    total = 0.0
    for chosen in torch.combinations(torch.arange(6), 3):
        rest = torch.tensor([row for row in range(6) if row not in chosen])
        total += joint_mmd(rows[chosen], rows[rest])
    assert abs(total) < 1e-12


@pytest.mark.parametrize("change", OTHER_CODES.values(), ids=OTHER_CODES)
def test_mmd_sees_what_the_published_form_does_not(change):
    def excess(statistic):
        null = over_batches(statistic, unchanged)
        return (over_batches(statistic, change).mean() - null.mean()) / null.std()

    assert excess(joint_mmd) > 10
    assert excess(published_mmd).abs() < 2


def test_mmd_sees_a_shift():
    null = over_batches(joint_mmd, unchanged)
    assert over_batches(joint_mmd, lambda z: z + 0.5).mean() > 10 * null.std()


def test_mmd_sees_dependence_of_few_latents():
    codes, draws = draw(2, N_BATCHES, 64, 8, seed=3)
    pairs = list(zip(codes, draws, strict=True))
    null = torch.stack([joint_mmd(z, y) for z, y in pairs])
    dependent = torch.stack([joint_mmd(one_cause(z), y) for z, y in pairs])
    assert dependent.mean() > 10 * null.std()


def test_mmd_gradient():
    codes, draws = draw(4, 3).requires_grad_(), draw(5, 3, seed=1)
    assert torch.autograd.gradcheck(lambda z: joint_mmd(z, draws, bandwidths=[0.5, 4.0]), codes)


def test_mmd_gradient_takes_the_bandwidths_as_given():
    codes, draws = draw(4, 3).requires_grad_(), draw(5, 3, seed=1)
    joint_mmd(codes, draws).backward()
    distance = torch.nn.functional.pdist(torch.cat([codes.detach(), draws])).square()
    fixed = codes.detach().clone().requires_grad_()
    bandwidths = distance.median() * torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0])
    joint_mmd(fixed, draws, bandwidths=bandwidths).backward()
    torch.testing.assert_close(codes.grad, fixed.grad)


def test_mmd_gradient_spreads_narrow_codes():
    codes = (0.2 * draw(64, 2)).requires_grad_()
    joint_mmd(codes, draw(64, 2, seed=1)).backward()
    assert (codes.grad * codes).sum() < 0  # a step against the gradient moves them outwards


@pytest.mark.parametrize("n_draws", [2, 64])
def test_mmd_gradient_of_equal_rows_is_finite(n_draws):
    codes = torch.zeros(8, 3, requires_grad=True)
    loss = joint_mmd(codes, torch.zeros(n_draws, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(codes.grad, torch.zeros(8, 3))
    codes = torch.zeros(8, 3, requires_grad=True)
    joint_mmd(codes, draw(n_draws, 3).float()).backward()
    assert torch.isfinite(codes.grad).all()


@pytest.mark.parametrize(("n_codes", "n_draws"), [(0, 4), (1, 4), (4, 1)])
def test_mmd_of_fewer_than_two_rows_is_zero(n_codes, n_draws):
    codes = torch.ones(n_codes, 3, requires_grad=True)
    loss = joint_mmd(codes, torch.ones(n_draws, 3))
    loss.backward()
    assert loss.item() == 0.0 and loss.shape == ()
    assert torch.equal(codes.grad, torch.zeros(n_codes, 3))


def test_mmd_refuses_other_latents():
    with pytest.raises(ValueError, match=r"codes \(4, 3\), prior_draws \(4, 2\)"):
        joint_mmd(torch.zeros(4, 3), torch.zeros(4, 2))
