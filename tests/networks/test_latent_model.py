import math

import pytest
import torch
from torch import nn

from specvae.networks import (
    DenseDecoder,
    DenseEncoder,
    DopplerShift,
    FluxScaler,
    LabelDecoder,
    LabelPredictor,
    LabelScaler,
    LatentModel,
    initialise,
)

NAN = float("nan")


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(weight):
    """Return a layer without bias whose matrix (n_outputs, n_inputs) is given."""
    weight = torch.tensor(weight)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight
    return layer


def make_model(*, n_pixels=20, n_latents=3, variational=True, label_scaler=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n_outputs = 2 * n_latents if variational else n_latents
    return LatentModel(
        initialise(DenseEncoder(n_pixels, n_outputs), generator),
        initialise(DenseDecoder(n_latents, n_pixels), generator),
        FluxScaler(torch.ones(n_pixels), 0.5),
        n_latents,
        variational=variational,
        label_scaler=label_scaler,
    )


@pytest.mark.parametrize("variational", [True, False])
def test_shapes(variational):
    output = make_model(variational=variational)(normal(4, 20))
    assert output.reconstruction.shape == (4, 20)
    assert output.code.shape == output.posterior.mean.shape == (4, 3)
    if variational:
        assert output.posterior.log_variance.shape == (4, 3)
    else:
        assert output.posterior.log_variance is None


def test_posterior_by_hand():
    # Two pixels, one latent: mean = first scaled pixel, log variance = twice the second.
    model = LatentModel(
        linear([[1.0, 0.0], [0.0, 2.0]]),
        linear([[1.0], [-1.0]]),
        FluxScaler(torch.tensor([1.0, 1.0]), 0.5),
        1,
    )
    flux = torch.tensor([[2.0, 1.5], [NAN, 1.0]])  # scaled: (2, 1) and (0, 0)
    posterior = model.posterior(flux)
    torch.testing.assert_close(posterior.mean, torch.tensor([[2.0], [0.0]]))
    torch.testing.assert_close(posterior.log_variance, torch.tensor([[2.0], [0.0]]))
    by_mean = model(flux)
    torch.testing.assert_close(by_mean.reconstruction, torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    noise = torch.tensor([[1.0], [-1.0]])
    sampled = model(flux, noise)
    code = torch.tensor([[2.0 + math.e], [-1.0]])  # the deviation is exp(2 / 2)
    torch.testing.assert_close(sampled.code, code)
    torch.testing.assert_close(
        sampled.reconstruction, 1.0 + 0.5 * code * torch.tensor([[1.0, -1.0]])
    )


def test_noise_moves_no_point():
    flux, noise = normal(4, 20), normal(4, 3, seed=2)
    model = make_model(variational=False)
    assert torch.equal(model(flux, noise).reconstruction, model(flux).reconstruction)


def test_log_variance_stays_in_the_range_of_float32():
    model = make_model()
    model.encoder.body[-1].bias.data = torch.tensor([0.0, 0.0, 0.0, 1e9, -1e9, 0.0])
    log_variance = model.posterior(normal(2, 20)).log_variance
    assert (log_variance[:, 0] == 20).all() and (log_variance[:, 1] == -20).all()


def test_target_leaves_out_what_training_never_saw():
    model = make_model(n_pixels=3)
    model.scaler = FluxScaler(torch.tensor([1.0, NAN, 1.0]), 0.5)
    target = model.target(torch.tensor([[1.0, 2.0, NAN]]))
    assert torch.isnan(target).tolist() == [[False, True, True]]


def test_first_latents_are_labels():
    scaler = LabelScaler(torch.tensor([5000.0, 4.0]), torch.tensor([1000.0, 0.5]))
    model, flux = make_model(label_scaler=scaler), normal(4, 20)
    assert model.n_labels == 2 and make_model().n_labels == 0
    code = model.encode(flux)
    by_hand = torch.stack([5000 + 1000 * code[:, 0], 4 + 0.5 * code[:, 1]], dim=1)
    torch.testing.assert_close(model.predict(flux), by_hand)


def test_one_label_shifts_what_the_decoder_draws_at_rest():
    shift = DopplerShift(5000.0 + 0.1 * torch.arange(30, dtype=torch.float64), 0.1)
    scaler = LabelScaler(torch.tensor([5000.0, 2.0]), torch.tensor([1000.0, 10.0]))
    model = make_model(n_pixels=30, label_scaler=scaler)
    shifting = make_model(n_pixels=30, label_scaler=scaler)
    shifting.shift = shift
    shifting.register_buffer("is_velocity", torch.tensor([False, True, False]))
    code = normal(4, 3)
    at_rest = code.clone()
    at_rest[:, 1] = 0.0
    wanted = shift(model.decode(at_rest), 2.0 + 10.0 * code[:, 1])
    torch.testing.assert_close(shifting.decode(code), wanted)
    assert not torch.allclose(shifting.decode(code), model.decode(code))


def test_label_scaler_by_hand():
    scaler = LabelScaler(torch.tensor([5000.0, 4.0]), torch.tensor([1000.0, 0.5]))
    labels = torch.tensor([[6000.0, NAN], [4000.0, 4.5]])
    scaled = scaler(labels)
    torch.testing.assert_close(scaled, torch.tensor([[1.0, NAN], [-1.0, 1.0]]), equal_nan=True)
    torch.testing.assert_close(scaler.inverse(scaled), labels, equal_nan=True)
    assert list(scaler.parameters()) == [] and set(scaler.state_dict()) == {"centre", "scale"}


@pytest.mark.parametrize("with_noise", [False, True])
def test_gradients_reach_every_weight(with_noise):
    model = make_model()
    output = model(normal(4, 20), normal(4, 3, seed=2) if with_noise else None)
    loss = output.reconstruction.square().sum() + output.posterior.log_variance.square().sum()
    loss.backward()
    assert all(weight.grad.abs().max() > 0 for weight in model.parameters())


def test_evaluation_repeats():
    model, flux = make_model().eval(), normal(4, 20)
    assert torch.equal(model(flux).reconstruction, model(flux).reconstruction)


def test_label_predictor_by_hand():
    # One label; its mean and log variance are the two scaled pixels.
    network = LabelPredictor(
        linear([[1.0, 0.0], [0.0, 1.0]]),
        FluxScaler(torch.zeros(2), 0.1),
        LabelScaler(torch.zeros(1), torch.ones(1)),
    )
    output = network(torch.tensor([[0.3, -0.2], [NAN, 1e6]]))
    torch.testing.assert_close(output.mean, torch.tensor([[3.0], [0.0]]))
    torch.testing.assert_close(output.log_variance, torch.tensor([[-2.0], [20.0]]))


def test_label_decoder_by_hand():
    network = LabelDecoder(
        linear([[1.0], [2.0]]),
        FluxScaler(torch.tensor([1.0, 1.0]), 0.1),
        LabelScaler(torch.tensor([5000.0]), torch.tensor([1000.0])),
    )
    flux = network(torch.tensor([[6000.0]]))
    torch.testing.assert_close(flux, torch.tensor([[1.1, 1.2]]))
