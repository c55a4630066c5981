import pickle

import numpy as np
import pytest
import torch
from torch import nn

from specvae.networks import ConvDecoder, ConvEncoder, ResNetDecoder, ResNetEncoder, initialise
from specvae.networks import _layers as layers
from specvae.networks._layers import Conv, Head, NormReLU, TransposedConv, in_small_batches


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def same_weights(ours, theirs):
    for number, parameter in enumerate(theirs.parameters()):
        parameter.data = 0.3 * normal(*parameter.shape, seed=number)
    ours.double().load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same_layer(ours, theirs, n_in, length):
    """Values, and gradients of values and of parameters, are those of torch's own layer."""
    ours, theirs = same_weights(ours, theirs.double())
    given = normal(3, n_in, length, seed=9)
    for_ours, for_theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
    expected = theirs(for_theirs)
    found = ours(for_ours.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        torch.testing.assert_close(ours(given.transpose(1, 2)).transpose(1, 2), expected.detach())
    weight = normal(*expected.shape, seed=5)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(for_ours.grad, for_theirs.grad)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 33, 64])
@pytest.mark.parametrize(
    ("n_in", "n_out", "kernel", "stride"),
    [(1, 16, 7, 2), (1, 1, 3, 1), (1, 16, 3, 1), (4, 8, 5, 2), (4, 3, 3, 1), (4, 1, 3, 1)],
)
@pytest.mark.parametrize("slope", [None, 0.1])
def test_conv_is_conv1d(n_in, n_out, kernel, stride, length, slope):
    options = {"stride": stride, "padding": kernel // 2}
    theirs = nn.Conv1d(n_in, n_out, kernel, **options)
    after = nn.Identity() if slope is None else nn.LeakyReLU(slope)
    ours = nn.Sequential(Conv(n_in, n_out, kernel, slope=slope, **options))
    assert_same_layer(ours, nn.Sequential(theirs, after), n_in, length)


@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding"),
    [(3, 1, 1, 0), (5, 1, 2, 0), (4, 2, 1, 0), (1, 2, 0, 1), (3, 2, 1, 1), (5, 2, 2, 1)]
    + [(7, 2, 3, 1), (7, 1, 3, 0)],
)
@pytest.mark.parametrize("slope", [None, 0.1])
def test_transposed_conv_is_conv_transpose1d(
    kernel, stride, padding, output_padding, length, slope
):
    sizes = (4, 6, kernel, stride, padding, output_padding)
    after = nn.Identity() if slope is None else nn.LeakyReLU(slope)
    theirs = nn.Sequential(nn.ConvTranspose1d(*sizes), after)
    assert_same_layer(nn.Sequential(TransposedConv(*sizes, slope=slope)), theirs, 4, length)


@pytest.mark.parametrize("length", [2, 50, 1100])
def test_norm_relu_is_instance_norm_and_relu(length):
    assert_same_layer(NormReLU(), nn.Sequential(nn.InstanceNorm1d(5), nn.ReLU()), 5, length)


def test_norm_relu_hands_one_position_on():
    values = torch.tensor([[[-1.0, 2.0]]])
    assert torch.equal(NormReLU()(values), torch.tensor([[[0.0, 2.0]]]))
    assert torch.equal(values, torch.tensor([[[-1.0, 2.0]]]))


CHANGES = {
    "an optimizer's step": lambda layer: torch.optim.SGD(layer.parameters(), 1.0).step(),
    "in place": lambda layer: layer.weight.add_(1.0),
    "its data in place": lambda layer: layer.weight.data.mul_(2.0),
    "through numpy": lambda layer: np.add(
        layer.weight.detach().numpy(), 1.0, out=layer.weight.detach().numpy()
    ),
    "new data": lambda layer: setattr(layer.weight, "data", layer.weight.data + 1.0),
    "its bias": lambda layer: layer.bias.data.add_(1.0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [ConvEncoder, ConvDecoder, ResNetDecoder])
def test_no_kernel_outlives_a_change_of_its_weights(kind, change):
    sizes = (64, 3) if kind is ConvEncoder else (3, 64)
    network = initialise(kind(*sizes), torch.Generator().manual_seed(0))
    values = normal(30_000, sizes[0]).float()  # more than are taken at once
    network(values[:2]).sum().backward()
    with torch.inference_mode():
        before = network(values)
        assert torch.equal(before, network(values))
    layer = network.body[-1] if kind is not ResNetDecoder else network.output
    with torch.no_grad():
        CHANGES[change](layer)
        after = network(values)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(network(values[:5]).detach(), after[:5])


def test_nothing_of_a_call_is_pickled():
    network = initialise(ConvDecoder(2, 64), torch.Generator().manual_seed(0))
    before = len(pickle.dumps(network))
    with torch.inference_mode():
        network(torch.ones(30_000, 2))
    assert len(pickle.dumps(network)) == before


def test_kernels_are_made_once_for_a_call(monkeypatch):
    network = initialise(ConvDecoder(2, 64), torch.Generator().manual_seed(0))
    made = []
    rearrange = TransposedConv._rearrange
    monkeypatch.setattr(
        TransposedConv, "_rearrange", lambda layer: made.append(layer) or rearrange(layer)
    )
    monkeypatch.setattr(layers, "_PIXELS_AT_ONCE", 64)
    n_layers = sum(isinstance(layer, TransposedConv) for layer in network.body)
    with torch.inference_mode():
        network(torch.ones(7, 2))
        assert len(made) == n_layers
        network(torch.ones(7, 2))
    assert len(made) == 2 * n_layers


def test_lengths_that_are_not_computed_are_refused():
    with pytest.raises(ValueError, match="doubles"):
        TransposedConv(2, 3, 4, 2, 0)
    with pytest.raises(ValueError, match="doubles"):
        TransposedConv(2, 3, 3, 3, 1)
    with pytest.raises(TypeError):
        Conv(2, 3, 3, dilation=2)


def test_small_batches_hold_one_spectrum_of_harps():
    seen = []

    def double(values):
        seen.append(len(values))
        return 2.0 * values

    values = torch.arange(5.0)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(in_small_batches(double, values, 327_680), 2.0 * values)
        in_small_batches(double, values, 150_000)
    in_small_batches(double, values, 327_680)
    assert seen == [1] * 5 + [2, 2, 1] + [5]  # with gradients all are taken at once


@pytest.mark.parametrize(
    "network",
    [
        ConvEncoder(300, 3),
        ConvDecoder(3, 300),
        ResNetEncoder(300, 3),
        ResNetDecoder(3, 300),
    ],
    ids=lambda network: type(network).__name__,
)
def test_bodies_may_compute_in_bfloat16_and_ends_stay_float32(network, monkeypatch):
    initialise(network, torch.Generator().manual_seed(0))
    width = 3 if "Decoder" in type(network).__name__ else 300
    values = normal(4, width).float()
    seen = []
    convolve = nn.functional.conv2d
    monkeypatch.setattr(
        layers.functional, "conv2d", lambda *given: seen.append(convolve(*given)) or seen[-1]
    )
    with torch.inference_mode():
        exact = network(values)
        assert {image.dtype for image in seen} == {torch.float32}
        seen.clear()
        with torch.autocast("cpu", torch.bfloat16):
            lowered = network(values)
    assert {image.dtype for image in seen} == {torch.bfloat16}
    assert exact.dtype == lowered.dtype == torch.float32
    error = (lowered - exact).norm() / exact.norm()
    assert 0 < error < 0.1


def test_head_is_a_linear_layer_that_autocast_leaves_alone():
    head = Head(3, 2)
    values = normal(4, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = head(values.bfloat16())
    assert found.dtype == torch.float32
    expected = nn.functional.linear(values.bfloat16().float(), head.weight, head.bias)
    torch.testing.assert_close(found, expected)
