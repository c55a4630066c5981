import pytest
import torch
from torch import nn

from specvae.networks import ConvEncoder, initialise
from specvae.networks._resnet import ResidualBlock, ResNetDecoder, ResNetEncoder

HARPS = 327_680
NETWORKS = {
    "encoder": lambda n_pixels, **options: ResNetEncoder(n_pixels, 3, **options),
    "decoder": lambda n_pixels, **options: ResNetDecoder(3, n_pixels, **options),
}


def drawn(network, seed=0):
    return initialise(network, torch.Generator().manual_seed(seed))


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(kind, n_pixels):
    return normal(10, n_pixels if kind == "encoder" else 3)


@pytest.mark.parametrize(
    ("n_pixels", "kernel"),
    [(1, 5), (2, 5), (7, 5), (19, 5), (41, 1), (41, 3), (41, 7), (333, 5), (1, 3), (1, 7)],
)
def test_shapes_at_any_length(n_pixels, kernel):
    encoder = drawn(ResNetEncoder(n_pixels, 3, kernel=kernel))
    decoder = drawn(ResNetDecoder(3, n_pixels, kernel=kernel))
    code = encoder(normal(10, n_pixels))
    flux = decoder(code)
    assert code.shape == (10, 3) and flux.shape == (10, n_pixels)
    assert code.dtype == flux.dtype == torch.float32
    assert code.isfinite().all() and flux.isfinite().all()


@pytest.mark.parametrize("n_pixels", [1, 20, 4096, HARPS, 16 * HARPS])
def test_as_many_stages_as_the_convolutions(n_pixels):
    with torch.device("meta"):
        plain, encoder = ConvEncoder(n_pixels, 1), ResNetEncoder(n_pixels, 1)
        decoder = ResNetDecoder(1, n_pixels)
        n_stages = sum(isinstance(layer, nn.Conv1d) for layer in plain.body) - 1
        assert len(encoder.body) == n_stages + 2  # the first convolution, the last block
        assert len(decoder.body) == n_stages + 1
        assert encoder.n_padding == plain.n_padding
        assert decoder(torch.zeros(2, 1)).shape == (2, n_pixels)


def test_published_blocks():
    with torch.device("meta"):
        blocks = ResNetDecoder(1, HARPS).body
    widths = [512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 32, 32, 16, 16, 16]
    assert [block.branch[1].out_channels for block in blocks] == widths
    assert [block.branch[3].out_channels for block in blocks] == widths
    assert [block.branch[1].stride for block in blocks] == [(1,)] + [(2,)] * 14
    assert [len(block.skip) for block in blocks] == [0] + [2] * 14


def test_block_by_hand():
    up = ResNetDecoder(1, 40).body[1]
    for layer in up.modules():
        if isinstance(layer, nn.ConvTranspose1d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        up.skip[1].weight[0, 0] = 2.0
        up.skip[1].bias[:] = 3.0
    values = torch.zeros(1, 2, 16)  # (batch, position, channel)
    values[0, :, 0] = torch.tensor([5.0, 9.0])
    # The norm gives -1 and 1, ReLU 0 and 1; every second pixel is the bias alone.
    expected = torch.tensor([3.0, 3.0, 5.0, 3.0])
    torch.testing.assert_close(up(values)[0, :, 0], expected, atol=1e-4, rtol=0.0)


def bias_before_norm(kind, name, n_blocks):
    """Whether an instance norm takes off what this bias of a decoder adds."""
    if kind == "encoder" or not name.startswith("body") or not name.endswith("bias"):
        return False
    return not name.startswith(f"body.{n_blocks - 1}.") or name.endswith("branch.1.bias")


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("n_pixels", [1, 7, 200])
def test_gradients_reach_every_parameter_that_matters(kind, n_pixels):
    network = drawn(NETWORKS[kind](n_pixels))
    network(inputs(kind, n_pixels)).square().sum().backward()
    for name, parameter in network.named_parameters():
        size = parameter.grad.abs().max()
        if n_pixels > 1 and bias_before_norm(kind, name, len(network.body)):
            assert size < 1e-3, name
        else:
            assert size > 1e-2, name


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradients_are_finite_at_two_pixels(kind):
    # The norm of two positions is their order alone: most gradients are tiny.
    network = drawn(NETWORKS[kind](2))
    network(inputs(kind, 2)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("n_pixels", [1, 64])
def test_eval_repeats_and_knows_no_batch(kind, n_pixels):
    network, values = drawn(NETWORKS[kind](n_pixels)), inputs(kind, n_pixels)
    trained = network(values)
    network.eval()
    assert torch.equal(network(values), network(values))
    torch.testing.assert_close(network(values), trained)
    torch.testing.assert_close(network(values[3:4]), trained[3:4], atol=1e-5, rtol=1e-4)


def test_encoder_keeps_the_size_of_a_deviation():
    encoder, flux = drawn(ResNetEncoder(200, 3)), normal(10, 200)
    torch.testing.assert_close(encoder(5.0 * flux), 5.0 * encoder(flux), atol=1e-4, rtol=1e-4)


def test_decoder_keeps_the_size_of_a_code():
    decoder, code = drawn(ResNetDecoder(3, 200)), normal(10, 3)
    assert (decoder(5.0 * code) - decoder(code)).std() > 0.1 * decoder(code).std()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("n_pixels", [64, 1024, HARPS // 16])
def test_initial_weights_keep_the_variance(kind, n_pixels):
    with torch.no_grad():
        assert 0.5 < drawn(NETWORKS[kind](n_pixels))(inputs(kind, n_pixels)).std() < 2.0


def test_both_paths_of_a_block_get_their_share():
    network = ResNetDecoder(3, HARPS // 16)
    block = drawn(network).body[1]
    values = normal(2, 1000, block.branch[1].in_channels)
    with torch.no_grad():
        branch, skip = block.branch(values), block.skip(values)
    assert abs(branch.var() - 0.5) < 0.05
    assert abs(skip.var() - 0.5) < 0.05
    encoder = drawn(ResNetEncoder(HARPS // 16, 3))
    blocks = [block for block in encoder.body if isinstance(block, ResidualBlock)]
    values = normal(2, 1000, blocks[-2].branch[1].in_channels)
    with torch.no_grad():
        branch, skip = blocks[-2].branch(values), blocks[-2].skip(values)
    assert abs(branch.var() * len(blocks) - 1.0) < 0.2
    assert abs(skip.var() - (1.0 - 1.0 / len(blocks))) < 0.1


@pytest.mark.parametrize("network", NETWORKS.values())
@pytest.mark.parametrize("kernel", [0, 2, -1])
def test_even_kernels_are_refused(network, kernel):
    with pytest.raises(ValueError, match=f"kernel must be odd and at least 1, got {kernel}"):
        network(64, kernel=kernel)


def test_encoder_pads_with_zeros_at_the_end():
    encoder, whole = drawn(ResNetEncoder(70, 2)), drawn(ResNetEncoder(72, 2))
    assert encoder.n_padding == 2 and whole.n_padding == 0
    flux = normal(3, 70)
    torch.testing.assert_close(encoder(flux), whole(nn.functional.pad(flux, (0, 2))))
