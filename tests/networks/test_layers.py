import copy
import io

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
    "a change in place": lambda layer: layer.weight.detach().add_(1.0),
    "a state dict": lambda layer: layer.load_state_dict(
        {name: value + 1.0 for name, value in layer.state_dict().items()}
    ),
    "an assigned state dict": lambda layer: layer.load_state_dict(
        {name: value + 1.0 for name, value in layer.state_dict().items()}, assign=True
    ),
    "new data": lambda layer: setattr(layer.weight, "data", layer.weight.data + 1.0),
    "a new parameter": lambda layer: setattr(
        layer, "weight", nn.Parameter(layer.weight.detach() + 1.0)
    ),
    "a bias in place": lambda layer: layer.bias.detach().add_(1.0),
    "a new bias": lambda layer: setattr(layer, "bias", nn.Parameter(layer.bias.detach() + 1.0)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "layer", [Conv(1, 3, 3, padding=1), Conv(2, 3, 3), TransposedConv(2, 3, 4, 2, 1)], ids=repr
)
def test_no_kernel_is_kept_beyond_its_weights(layer, change):
    layer = copy.deepcopy(layer)
    values = normal(1, 9, layer.in_channels).float()
    layer(values).sum().backward()
    with torch.inference_mode():
        before = layer(values)
        assert torch.equal(before, layer(values))
    with torch.no_grad():
        CHANGES[change](layer)
    with torch.inference_mode():
        after = layer(values)
    assert not torch.equal(before, after)
    assert torch.equal(after, layer(values).detach())  # with gradients nothing is kept


def test_kept_kernels_are_neither_copied_nor_pickled():
    network = initialise(ConvDecoder(2, 64), torch.Generator().manual_seed(0))
    code = torch.ones(1, 2)
    with torch.inference_mode():
        expected = network(code)
    file = io.BytesIO()
    torch.save(network, file)
    fresh = io.BytesIO()
    torch.save(ConvDecoder(2, 64), fresh)
    assert len(file.getvalue()) == len(fresh.getvalue())
    network_copy = copy.deepcopy(network)
    assert all(part._kept is None for part in network_copy.body)
    assert all(part._kept is not None for part in network.body)
    torch.testing.assert_close(network_copy(code).detach(), expected)


def test_weights_made_in_inference_mode_are_used_as_they_are():
    with torch.inference_mode():
        layer = Conv(2, 3, 3)
        values = normal(1, 9, 2).float()
        before = layer(values)
        layer.weight += 1.0
        assert not torch.equal(layer(values), before)


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
