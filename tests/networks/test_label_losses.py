import math

import pytest
import torch

from specvae.networks._label_losses import (
    adversarial_cross_entropy,
    gaussian_nll,
    label_loss,
    zero_free_penalty,
)

NAN = float("nan")


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def labels():
    """Three labels of four rows: a dense one, a sparse one, and one that no row has."""
    labels = draw(4, 3, seed=7)
    labels[1:, 1] = NAN
    labels[:, 2] = NAN
    return labels


# Residuals 0.5, 2, 0.5 in the dense label and 3 in the sparse one.
@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [
        ("l1", (1.0 + 3.0) / 2),
        ("l2", (1.5 + 9.0) / 2),
        ("huber", ((0.125 + 1.5 + 0.125) / 3 + 2.5) / 2),
    ],
)
def test_label_loss_by_hand(kind, by_hand):
    predicted = torch.tensor([[0.5, 8.0, 5.0], [2.0, -3.0, 5.0], [-0.5, 8.0, 5.0]])
    labels = torch.tensor([[0.0, NAN, NAN], [0.0, 0.0, NAN], [0.0, NAN, NAN]])
    torch.testing.assert_close(label_loss(predicted, labels, kind=kind), torch.tensor(by_hand))


def test_sparse_label_counts_as_much_as_a_dense_one(labels):
    predicted = draw(4, 3).requires_grad_()
    label_loss(predicted, labels).backward()
    torch.testing.assert_close(
        predicted.grad.abs().sum(dim=0), torch.tensor([0.5, 0.5, 0]).double()
    )


def test_label_loss_with_weights_by_hand():
    predicted = torch.tensor([[1.0, 1.0], [3.0, 9.0], [7.0, 5.0]])
    labels = torch.tensor([[0.0, NAN], [0.0, 0.0], [0.0, NAN]])
    weight = torch.tensor([3.0, 1.0, 0.0])
    # (3 * 1 + 1 * 3) / 4 = 1.5 and 9.
    torch.testing.assert_close(label_loss(predicted, labels, weight=weight), torch.tensor(5.25))
    # Without the second row nobody has the second label: 1 alone.
    weight = torch.tensor([3.0, 0.0, 0.0])
    torch.testing.assert_close(label_loss(predicted, labels, weight=weight), torch.tensor(1.0))


def test_only_ratios_of_weights_matter_and_zero_leaves_out(labels):
    predicted, log_variance = draw(4, 3), draw(4, 3, seed=1)
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5], dtype=torch.float64)
    kept = weight > 0
    rows = predicted[kept], log_variance[kept], labels[kept]

    torch.testing.assert_close(
        label_loss(predicted, labels, weight=weight),
        label_loss(rows[0], rows[2], weight=1e3 * weight[kept]),
    )
    torch.testing.assert_close(
        gaussian_nll(predicted, log_variance, labels, weight=weight),
        gaussian_nll(*rows, weight=1e3 * weight[kept]),
    )


@pytest.mark.parametrize("kind", ["l1", "l2", "huber"])
def test_label_loss_gradient(kind, labels):
    predicted, weight = draw(4, 3).requires_grad_(), draw(4, seed=2).abs()
    assert torch.autograd.gradcheck(lambda p: label_loss(p, labels, kind=kind), predicted)
    assert torch.autograd.gradcheck(
        lambda p: label_loss(p, labels, kind=kind, weight=weight), predicted
    )


def test_no_label_costs_nothing():
    labels = torch.full((2, 3), NAN)
    predicted, log_variance = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    # What is predicted for a missing label counts for nothing, even where it overflows.
    log_variance[0, 0] = -200.0
    predicted, log_variance = predicted.requires_grad_(), log_variance.requires_grad_()
    loss = label_loss(predicted, labels) + gaussian_nll(predicted, log_variance, labels)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(predicted.grad, torch.zeros(2, 3))
    assert torch.equal(log_variance.grad, torch.zeros(2, 3))
    empty = torch.zeros(0, 3, requires_grad=True)
    assert label_loss(empty, labels[:0]).item() == 0.0


def test_a_diverged_prediction_shows():
    predicted = torch.tensor([[NAN, 1.0]])
    assert label_loss(predicted, torch.tensor([[0.0, 1.0]])).isnan()
    assert label_loss(predicted, torch.tensor([[NAN, 1.0]])).item() == 0.0


def test_gaussian_nll_by_hand():
    predicted = torch.tensor([[1.0, 0.0], [0.0, 9.0]])
    labels = torch.tensor([[3.0, 1.0], [0.0, NAN]])
    variance = torch.tensor([[4.0, 1.0], [0.25, 1.0]])
    # (4 / 4 + log 4) / 2 and -log 4 / 2 in the first label, 1 / 2 in the second.
    first = 0.5 + math.log(2.0), -math.log(2.0)
    plain = (sum(first) / 2 + 0.5) / 2
    loss = gaussian_nll(predicted, variance.log(), labels, beta=0.0)
    torch.testing.assert_close(loss, torch.tensor(plain))
    # Times the standard deviation, 2 and 1/2, for beta = 1/2, the default.
    weighted = ((2 * first[0] + first[1] / 2) / 2 + 0.5) / 2
    torch.testing.assert_close(
        gaussian_nll(predicted, variance.log(), labels), torch.tensor(weighted)
    )
    # (3 * first + second) / 4 in the first label.
    loss = gaussian_nll(
        predicted, variance.log(), labels, weight=torch.tensor([3.0, 1.0]), beta=0.0
    )
    torch.testing.assert_close(loss, torch.tensor(((3 * first[0] + first[1]) / 4 + 0.5) / 2))


def test_gaussian_nll_gradient(labels):
    predicted, log_variance = draw(4, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    weight = draw(4, seed=2).abs()
    assert torch.autograd.gradcheck(
        lambda p, v: gaussian_nll(p, v, labels, weight=weight, beta=0.0), (predicted, log_variance)
    )
    # The factor has no gradient, so finite differences hold for the predictions alone.
    assert torch.autograd.gradcheck(
        lambda p: gaussian_nll(p, log_variance.detach(), labels), predicted
    )


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_beta_scales_the_gradients_of_the_likelihood(beta):
    # One row and label: (p - y) s^(beta - 1) and s^beta (1 - (p - y)^2 / s) / 2.
    predicted = torch.tensor([[3.0]], requires_grad=True)
    log_variance = torch.tensor([[math.log(4.0)]], requires_grad=True)
    gaussian_nll(predicted, log_variance, torch.tensor([[0.0]]), beta=beta).backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([[3.0 * 4.0 ** (beta - 1)]]))
    by_hand = torch.tensor([[4.0**beta * (1 - 9 / 4) / 2]])
    torch.testing.assert_close(log_variance.grad, by_hand)


def test_gaussian_nll_finds_mean_and_variance():
    labels = 2.0 + 3.0 * draw(500, 1)
    predicted = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    log_variance = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([predicted, log_variance], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        gaussian_nll(predicted.expand(500, 1), log_variance.expand(500, 1), labels).backward()
        optimizer.step()
    torch.testing.assert_close(predicted[0], labels.mean(), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(log_variance[0].exp(), labels.var(correction=0), rtol=1e-3, atol=0.0)


def test_zero_free_penalty_by_hand():
    codes_free = torch.tensor([[1.0, -2.0], [9.0, NAN], [0.0, 4.0]], requires_grad=True)
    is_simulated = torch.tensor([True, False, True])
    penalty = zero_free_penalty(codes_free, is_simulated)
    penalty.backward()
    torch.testing.assert_close(penalty, torch.tensor(7 / 4))
    by_hand = torch.tensor([[0.25, -0.25], [0.0, 0.0], [0.0, 0.25]])
    torch.testing.assert_close(codes_free.grad, by_hand)


@pytest.mark.parametrize(
    ("n_rows", "n_free", "simulated"), [(3, 2, False), (3, 0, True), (0, 2, True)]
)
def test_zero_free_penalty_of_nothing_is_zero(n_rows, n_free, simulated):
    codes_free = torch.ones(n_rows, n_free, requires_grad=True)
    penalty = zero_free_penalty(codes_free, torch.full((n_rows,), simulated))
    penalty.backward()
    assert penalty.item() == 0.0 and penalty.shape == ()
    assert torch.equal(codes_free.grad, torch.zeros(n_rows, n_free))


def test_zero_free_penalty_gradient():
    is_simulated = torch.tensor([True, False, True, True])
    codes_free = draw(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: zero_free_penalty(u, is_simulated), codes_free)


def test_adversarial_cross_entropy_by_hand():
    # Odds of 1 : 3 and of 1 : 1 : 2 in two rows.
    logits = [
        torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]]),
        torch.tensor([[0.0, 0.0, math.log(2.0)], [0.0, 0.0, math.log(2.0)]]),
    ]
    targets = torch.tensor([[0, 2], [1, 0]])
    by_hand = ((math.log(4) + math.log(4 / 3)) / 2 + (math.log(2) + math.log(4)) / 2) / 2
    torch.testing.assert_close(adversarial_cross_entropy(logits, targets), torch.tensor(by_hand))
    alone = (math.log(4) + math.log(4 / 3)) / 2
    loss = adversarial_cross_entropy(tuple(logits[:1]), targets[:, :1])
    torch.testing.assert_close(loss, torch.tensor(alone))


def test_adversarial_cross_entropy_gradient():
    logits = (draw(4, 3).requires_grad_(), draw(4, 5, seed=1).requires_grad_())
    targets = torch.tensor([[0, 4], [1, 0], [2, 3], [0, 0]])
    assert torch.autograd.gradcheck(
        lambda *heads: adversarial_cross_entropy(heads, targets), logits
    )


def test_refusals():
    labels = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="kind must be 'l1', 'l2' or 'huber'; got 'cauchy'"):
        label_loss(labels, labels, kind="cauchy")
    with pytest.raises(ValueError, match=r"predicted \(4,\), labels \(4, 2\)"):
        label_loss(labels[:, 0], labels)
    with pytest.raises(ValueError, match=r"weight \(4, 1\) is not one for each of 4 rows"):
        label_loss(labels, labels, weight=torch.ones(4, 1))
    with pytest.raises(ValueError, match=r"log_variance \(4, 1\)"):
        gaussian_nll(labels, labels[:, :1], labels)
    with pytest.raises(ValueError, match=r"is_simulated \(2,\) is not one for each of 4 rows"):
        zero_free_penalty(labels, torch.ones(2, dtype=torch.bool))
    bins = torch.zeros(4, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="logits has 1 heads, target_bins 2"):
        adversarial_cross_entropy([labels], bins)
    with pytest.raises(ValueError, match="logits has 0 heads, target_bins 0"):
        adversarial_cross_entropy([], bins[:, :0])
