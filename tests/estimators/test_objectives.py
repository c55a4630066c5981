import math

import numpy as np
import pytest
import torch
from torch import nn

from specvae.estimators._data import Batch
from specvae.estimators._latent_objective import (
    LabelObjective,
    LatentObjective,
    SimulatorObjective,
)
from specvae.estimators._objective import (
    EpochMean,
    Stage,
    drop_pixels,
    reconstruction_objective,
    trainable,
)
from specvae.networks import FluxScaler, LabelDecoder, LabelPredictor, LabelScaler, LatentModel

NAN = float("nan")
WATCH = Stage(0, None)
# Divergence of N(1, 1) and of N(0, 4) from the unit normal.
NATS_OF_SHIFT = 0.5
NATS_OF_WIDTH = 0.5 * (4.0 - 1.0 - math.log(4.0))


class Fixed(nn.Module):
    """Gives what it was given, row by row, whatever comes in."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = nn.Parameter(torch.tensor(outputs))

    def forward(self, values):
        return self.outputs[: len(values)]


class Repeat(nn.Module):
    """Every pixel is the sum of the code."""

    def __init__(self, n_pixels):
        super().__init__()
        self.n_pixels = n_pixels

    def forward(self, code):
        return code.sum(dim=1, keepdim=True).expand(-1, self.n_pixels)


def training(epoch=0, seed=0):
    return Stage(epoch, torch.Generator().manual_seed(seed))


def make_network(outputs, *, n_pixels=2, scale=1.0, label_scaler=None, variational=True):
    n_latents = len(outputs[0]) // (2 if variational else 1)
    return LatentModel(
        Fixed(outputs),
        Repeat(n_pixels),
        FluxScaler(torch.zeros(n_pixels), scale),
        n_latents,
        label_scaler=label_scaler,
        variational=variational,
    )


def two_latents(**options):
    """Means (1, 0), variances (1, 4) of both rows: every pixel is 1."""
    row = [1.0, 0.0, 0.0, math.log(4.0)]
    return make_network([row, row], **options)


def make_batch(flux, *, weight=None, **known):
    flux = torch.tensor(flux)
    weight = torch.ones(len(flux)) if weight is None else torch.tensor(weight)
    return Batch(flux, weight, **known)


def verdict(*batches):
    """What an epoch of these losses is judged by."""
    mean = EpochMean()
    for losses in batches:
        mean.add(losses.parts)
    return mean.loss()


def test_loss_by_hand():
    batch = make_batch([[1.0, 3.0], [NAN, 2.0]])  # errors (0 + 2) / 2 and 1
    losses = LatentObjective(kl_weight=0.1)(two_latents(), batch, WATCH)
    nats = NATS_OF_SHIFT + NATS_OF_WIDTH  # summed over latents, averaged over spectra
    assert losses.parts["reconstruction"].value.item() == pytest.approx(1.0)
    assert losses.parts["kl"].value.item() == pytest.approx(nats)
    assert losses.total.item() == pytest.approx(1.0 + 0.1 * nats)
    assert verdict(losses) == pytest.approx(losses.total.item())


def test_weights_of_spectra():
    row = [0.0, 0.0]
    network = make_network([[2.0, 0.0], row])  # 2 nats and none
    batch = make_batch([[2.0, 2.0], [4.0, 4.0]], weight=[0.5, 1.5])
    losses = LatentObjective(kl_weight=1.0)(network, batch, WATCH)
    assert losses.parts["reconstruction"].value.item() == pytest.approx((0.5 * 0 + 1.5 * 4) / 2)
    assert losses.parts["kl"].value.item() == pytest.approx(0.5 * 2 / 2)


@pytest.mark.parametrize("n_repeats", [2, 7])
def test_loss_depends_on_neither_batch_nor_pixels(n_repeats):
    objective = LatentObjective(kl_weight=0.3)
    row = [1.0, 0.0, 0.0, math.log(4.0)]
    small = objective(make_network([row]), make_batch([[1.5, 1.25]]), WATCH)
    large = objective(
        make_network([row] * n_repeats, n_pixels=2 * n_repeats),
        make_batch([[1.5, 1.25] * n_repeats] * n_repeats),
        WATCH,
    )
    torch.testing.assert_close(large.total, small.total)
    for name, part in small.parts.items():
        torch.testing.assert_close(large.parts[name].value, part.value)


def test_a_latent_more_that_is_dead_changes_nothing():
    objective = LatentObjective(kl_weight=0.3)
    batch = make_batch([[1.0, 3.0]])
    one = objective(make_network([[1.0, 0.5]]), batch, WATCH)
    two = objective(make_network([[1.0, 0.0, 0.5, 0.0]]), batch, WATCH)
    torch.testing.assert_close(two.total, one.total)


@pytest.mark.parametrize(
    ("warmup", "epoch", "share"), [(0, 0, 1.0), (3, 0, 0.25), (3, 2, 0.75), (3, 3, 1.0), (3, 9, 1)]
)
def test_price_of_a_nat_rises(warmup, epoch, share):
    objective = LatentObjective(kl_weight=2.0, kl_warmup_epochs=warmup)
    losses = objective(two_latents(), make_batch([[1.0, 1.0]] * 2), training(epoch))
    charged = (losses.total - losses.parts["reconstruction"].value).item()
    assert charged == pytest.approx(share * 2.0 * losses.parts["kl"].value.item())
    # Epochs are compared at the full price, or those of a low price would seem the best.
    wanted = losses.parts["reconstruction"].value + 2.0 * losses.parts["kl"].value
    assert verdict(losses) == pytest.approx(wanted.item())
    watched = objective(two_latents(), make_batch([[1.0, 1.0]] * 2), Stage(epoch, None))
    assert watched.total.item() == pytest.approx(2.0 * watched.parts["kl"].value.item())


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_mutual_information_is_not_charged(alpha):
    objective = LatentObjective(kl_weight=2.0, mutual_info_weight=alpha)
    losses = objective(two_latents(), make_batch([[1.0, 1.0]] * 2), WATCH)
    nats = NATS_OF_SHIFT + NATS_OF_WIDTH
    assert losses.parts["kl"].value.item() == pytest.approx(nats)
    assert losses.total.item() == pytest.approx((1.0 - alpha) * 2.0 * nats, abs=1e-6)


@pytest.mark.parametrize("stage", [WATCH, training()])
def test_discrepancy_is_charged(stage):
    batch = make_batch([[0.0, 0.0]] * 64)
    network = make_network([[8.0, 0.0]] * 64)  # far from the prior
    free = LatentObjective(kl_weight=0.0)(network, batch, WATCH)
    assert "mmd" not in free.parts
    objective = LatentObjective(kl_weight=0.0, mmd_weight=3.0)
    losses = objective(network, batch, stage)
    assert losses.parts["mmd"].value.item() > 0.5
    charged = (losses.total - losses.parts["reconstruction"].value).item()
    assert charged == pytest.approx(3.0 * losses.parts["mmd"].value.item(), rel=1e-4)


def test_collapsed_codes_follow_the_prior_while_watching():
    # All means are 0 and all variances 1: a sample of each is the prior itself.
    network = make_network([[0.0, 0.0, 0.0, 0.0]] * 200)
    objective = LatentObjective(kl_weight=0.0, mmd_weight=1.0)
    losses = objective(network, make_batch([[0.0, 0.0]] * 200), WATCH)
    assert abs(losses.parts["mmd"].value.item()) < 0.02
    # A code that is one point for all spectra does not follow it.
    point = make_network([[0.0, 0.0]] * 200, variational=False)
    losses = objective(point, make_batch([[0.0, 0.0]] * 200), WATCH)
    assert losses.parts["mmd"].value.item() > 0.2
    assert "kl" not in losses.parts


def test_training_decodes_a_sample_and_watching_the_mean():
    network = make_network([[0.0, math.log(9.0)]] * 2000, n_pixels=1)
    batch = make_batch([[0.0]] * 2000)
    objective = LatentObjective(kl_weight=0.0)
    assert objective(network, batch, WATCH).total.item() == 0.0
    sampled = objective(network, batch, training()).total.item()
    assert sampled == pytest.approx(3.0 * math.sqrt(2 / math.pi), rel=0.05)  # mean |N(0, 9)|
    assert objective(network, batch, training()).total.item() == sampled
    assert objective(network, batch, training(seed=1)).total.item() != sampled


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    objective = LatentObjective(kl_weight=1.0, mmd_weight=1.0, random_missing=0.3)
    for stage in (WATCH, training()):
        objective(two_latents(), make_batch([[1.0, 1.0]] * 2), stage)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("kind", "rho"), [("l1", 2.0), ("l2", 4.0), ("huber", 1.5), ("cauchy", math.log(5.0))]
)
def test_reconstruction_of_every_kind(kind, rho):
    batch = make_batch([[3.0, 3.0]] * 2)  # residuals of 2
    losses = LatentObjective(kl_weight=0.0, reconstruction=kind)(two_latents(), batch, WATCH)
    assert losses.total.item() == pytest.approx(rho)


@pytest.mark.parametrize("kind", ["l1", "l2", "huber", "cauchy"])
@pytest.mark.parametrize("scale", [1e-14, 1e6])
def test_flux_in_any_unit_gives_the_same_loss(kind, scale):
    objective = LatentObjective(kl_weight=0.1, reconstruction=kind)
    flux = np.array([[3.0, 0.5], [1.0, 2.0]], dtype=np.float32)
    normal = objective(two_latents(), make_batch(flux.tolist()), WATCH)
    batch = make_batch((flux * scale).tolist())
    scaled = objective(two_latents(scale=scale), batch, WATCH)
    torch.testing.assert_close(scaled.total, normal.total, rtol=1e-5, atol=0)
    decoder, labels = Repeat(2), torch.ones(2, 1)
    unit = LabelScaler(torch.zeros(1), torch.ones(1))
    simulated = [
        SimulatorObjective(kind)(
            LabelDecoder(decoder, FluxScaler(torch.zeros(2), size), unit),
            make_batch((flux * np.float32(size)).tolist(), labels=labels),
            WATCH,
        ).total
        for size in (1.0, scale)
    ]
    torch.testing.assert_close(*simulated, rtol=1e-5, atol=0)


def test_better_pixels_count_more():
    batch = make_batch([[2.0, 3.0]] * 2, inverse_variance=torch.tensor([[3.0, 1.0]] * 2))
    losses = LatentObjective(kl_weight=0.0, reconstruction="l2")(two_latents(), batch, WATCH)
    assert losses.total.item() == pytest.approx((1 * 3 / 2 + 4 * 1 / 2) / 2)


def test_hidden_pixels_are_reconstructed_all_the_same():
    network = two_latents(n_pixels=2)
    batch = make_batch([[3.0, 3.0]] * 2)
    objective = LatentObjective(kl_weight=0.0, random_missing=0.9)
    errors = [objective(network, batch, training(seed=k)).total.item() for k in range(3)]
    whole = LatentObjective(kl_weight=0.0)
    assert all(error > 0 for error in errors)
    assert whole(network, batch, WATCH).total.item() == 2.0
    assert objective(network, batch, WATCH).total.item() == 2.0


@pytest.mark.parametrize("batch_size", [320, 32, 8, 1])
def test_verdict_of_labels_depends_on_no_batch(batch_size):
    """Label 0 is known everywhere, label 1 rarely; a spectrum may weigh more than others."""
    n = 320
    errors = np.array([0.1, 1.0])
    labels = torch.tensor(np.tile(errors, (n, 1)), dtype=torch.float32)
    labels[14:, 1] = NAN
    labels[0, 1] = 3.0
    weight = torch.ones(n)
    weight[0] = 4.0
    scaler = LabelScaler(torch.zeros(2), torch.ones(2))
    network = make_network([[0.0] * 4] * n, label_scaler=scaler)
    objective = LatentObjective(kl_weight=0.0, label_weight=1.0)
    epoch = [
        objective(network, Batch(torch.zeros(len(rows), 2), weight[rows], labels[rows]), WATCH)
        for rows in torch.arange(n).split(batch_size)
    ]
    assert verdict(*epoch) == pytest.approx((0.1 + (4 * 3.0 + 13 * 1.0) / 17) / 2)


def labelled_network():
    """One label and one free latent: means (2, 3), variances (1, 1)."""
    scaler = LabelScaler(torch.tensor([5000.0]), torch.tensor([1000.0]))
    return make_network([[2.0, 3.0, 0.0, 0.0]] * 3, label_scaler=scaler)


def test_labels_and_free_latents_by_hand():
    # Scaled labels 1, none, -1: residuals 1 and 3.
    labels = torch.tensor([[6000.0], [NAN], [4000.0]])
    batch = make_batch(
        [[5.0, 5.0]] * 3, labels=labels, simulated=torch.tensor([False, False, True])
    )
    objective = LatentObjective(kl_weight=0.1, label_weight=2.0, zero_weight=0.5)
    losses = objective(labelled_network(), batch, WATCH)
    assert losses.parts["reconstruction"].value.item() == 0.0
    assert losses.parts["labels"].value.item() == pytest.approx(2.0)
    assert losses.parts["kl"].value.item() == pytest.approx(4.5)  # of the free latent alone
    assert losses.parts["free"].value.item() == pytest.approx(3.0)  # of the simulated row alone
    rest = 0.1 * 4.5 + 0.5 * 3.0
    assert verdict(losses) == pytest.approx(rest + 2.0 * 2.0)
    # Training takes the likelihood, here with variances of 1, and is judged by the same as above.
    trained = objective(labelled_network(), batch, training())
    parts = trained.parts
    assert parts["labels"].value.item() == pytest.approx(2.0)
    rest = (
        parts["reconstruction"].value + 0.1 * parts["kl"].value + 0.5 * parts["free"].value
    ).item()
    likelihood = (0.5 * 1 + 0.5 * 9) / 2
    assert trained.total.item() == pytest.approx(rest + 2.0 * likelihood)
    assert verdict(trained) == pytest.approx(rest + 2.0 * 2.0)


def test_epoch_is_judged_by_the_labels_that_there_are():
    """However many batches have none: a mean over batches would count those as perfect."""
    objective = LatentObjective(kl_weight=0.0, label_weight=2.0)
    some = make_batch([[5.0, 5.0]] * 3, labels=torch.tensor([[6000.0], [NAN], [4000.0]]))
    one = make_batch([[5.0, 5.0]] * 3, labels=torch.tensor([[NAN], [NAN], [9000.0]]))
    none = make_batch([[4.0, 4.0]] * 3, labels=torch.full((3, 1), NAN))
    epoch = [objective(labelled_network(), batch, WATCH) for batch in (some, none, one, none)]
    # Residuals 1, 3 and 2; errors of the flux 0, 1, 0 and 1.
    assert verdict(*epoch) == pytest.approx(2.0 * (1 + 3 + 2) / 3 + 0.5)


def test_batch_without_a_label_teaches_none():
    network = labelled_network()
    batch = make_batch([[5.0, 5.0]] * 3, labels=torch.full((3, 1), NAN))
    losses = LatentObjective(kl_weight=0.0, label_weight=2.0)(network, batch, WATCH)
    assert losses.total.item() == 0.0 and losses.parts["labels"].value.item() == 0.0
    losses.total.backward()
    assert torch.isfinite(network.encoder.outputs.grad).all()


def make_predictor(outputs, n_pixels=1):
    scaler = LabelScaler(torch.tensor([10.0]), torch.tensor([2.0]))
    return LabelPredictor(Fixed(outputs), FluxScaler(torch.zeros(n_pixels), 1.0), scaler)


def test_label_objective_by_hand():
    # Predicted 1 and 0 with variances 4 and 1, labels 3 and unknown in scaled units.
    network = make_predictor([[1.0, math.log(4.0)], [0.0, 0.0]])
    batch = make_batch([[0.0], [0.0]], labels=torch.tensor([[16.0], [NAN]]))
    watched = LabelObjective()(network, batch, WATCH)
    assert verdict(watched) == pytest.approx(2.0)  # the absolute error
    assert watched.parts["labels"].value.item() == pytest.approx(2.0)
    trained = LabelObjective()(network, batch, training())
    nats = 0.5 * (4 / 4 + math.log(4.0))
    assert trained.total.item() == pytest.approx(2.0 * nats)  # times the root of the variance
    # Where no share is kept apart, epochs are compared by the same as there.
    assert verdict(trained) == pytest.approx(2.0)


def test_better_predictions_have_the_better_verdict():
    batch = make_batch([[0.0]], labels=torch.tensor([[10.0]]))
    errors = np.array([0.3, 0.03, 0.003])
    outputs = [[float(error), 2.0 * math.log(error)] for error in errors]  # honest variances
    losses = [LabelObjective()(make_predictor([each]), batch, training()) for each in outputs]
    verdicts = [verdict(each) for each in losses]
    assert verdicts == sorted(verdicts, reverse=True)
    totals = [each.total.item() for each in losses]
    assert totals != sorted(totals, reverse=True)


def test_simulator_objective_by_hand():
    scaler = FluxScaler(torch.tensor([1.0, 1.0, NAN]), 0.1)
    network = LabelDecoder(Repeat(3), scaler, LabelScaler(torch.zeros(1), torch.ones(1)))
    # Labels 1 and 2 give flux 1.1 and 1.2; the last pixel was never seen in training.
    batch = make_batch(
        [[1.1, 1.2, 9.0], [1.2, NAN, 9.0]],
        weight=[1.0, 3.0],
        labels=torch.tensor([[1.0], [2.0]]),
    )
    losses = SimulatorObjective()(network, batch, WATCH)
    assert losses.total.item() == pytest.approx(1.0 * 0.05 / 2, rel=1e-4)


def test_deterministic_objective_by_hand():
    network = make_network([[1.0], [1.0]], variational=False)
    batch = make_batch([[1.0, 3.0], [NAN, 4.0]], weight=[0.5, 1.5])
    losses = reconstruction_objective(network, batch, WATCH)
    assert losses.total.item() == pytest.approx((0.5 * 1 + 1.5 * 3) / 2)


def test_dropped_pixels_are_scattered_and_in_one_gap():
    flux = torch.ones(2000, 100)
    dropped = torch.isnan(drop_pixels(flux, 0.2, torch.Generator().manual_seed(0)))
    share = dropped.float().mean(dim=1)
    # Two shares of 0.1 on average, less the pixels that are in both; never more than 0.4.
    assert share.mean().item() == pytest.approx(0.19, abs=0.01)
    assert share.max() < 0.45
    # All pixels are hidden about equally often.
    by_pixel = dropped.float().mean(dim=0)
    assert by_pixel[10:90].min() > 0.1 and by_pixel.max() < 0.3
    longest = torch.zeros(len(flux))
    run = torch.zeros(len(flux))
    for pixel in range(100):
        run = torch.where(dropped[:, pixel], run + 1, 0)
        longest = torch.maximum(longest, run)
    assert longest.max() >= 18  # a gap of up to a fifth of the pixels


@pytest.mark.parametrize(("share", "seed"), [(0.0, 0), (0.5, None)])
def test_nothing_is_dropped(share, seed):
    flux = torch.ones(3, 5)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    assert drop_pixels(flux, share, generator) is flux


def test_dropping_keeps_missing_pixels_and_the_input():
    flux = torch.ones(3, 50)
    flux[:, 7] = NAN
    dropped = drop_pixels(flux, 0.5, torch.Generator().manual_seed(0))
    assert torch.isnan(dropped[:, 7]).all() and torch.isnan(flux).sum() == 3


def test_trainable_leaves_out_what_stands_still():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[0].requires_grad_(False)
    assert [id(weight) for weight in trainable(network)] == [id(p) for p in network[1].parameters()]
