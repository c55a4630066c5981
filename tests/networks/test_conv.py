import pytest
import torch

from specvae.networks import (
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    DenseDecoder,
    DenseEncoder,
    FluxScaler,
    LinearPath,
    initialise,
    plan_stages,
)

HARPS = 327_680
PAIRS = {"conv": (ConvEncoder, ConvDecoder), "dense": (DenseEncoder, DenseDecoder)}


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def make_autoencoder(kind, n_pixels, n_latents, seed=0):
    generator = torch.Generator().manual_seed(seed)
    encoder, decoder = PAIRS[kind]
    return Autoencoder(
        initialise(encoder(n_pixels, n_latents), generator),
        initialise(decoder(n_latents, n_pixels), generator),
        FluxScaler(torch.zeros(n_pixels), 1.0),
        n_latents,
    )


def test_linear_path_adds_two_gates_and_no_other_parameter():
    plain = make_autoencoder("conv", 64, n_latents=3)
    path = LinearPath(torch.eye(3, 64), torch.ones(3))
    linear = Autoencoder(plain.encoder, plain.decoder, plain.scaler, 3, path)
    assert n_parameters(linear) == n_parameters(plain) + 2
    flux = torch.randn(2, 64)
    torch.testing.assert_close(linear.encode(flux), flux[:, :3])  # the gates start shut
    expected = torch.cat([flux[:, :3], torch.zeros(2, 61)], dim=1)
    torch.testing.assert_close(linear(flux).reconstruction, expected)


def test_published_parameter_counts():
    with torch.device("meta"):
        encoder, decoder = ConvEncoder(HARPS, 6), ConvDecoder(128, HARPS)
        assert n_parameters(encoder.body) == 1_443_904
        assert n_parameters(encoder) == 1_505_350
        assert n_parameters(decoder.body) + n_parameters(decoder.output) == 1_660_437
        assert n_parameters(ConvEncoder(HARPS, 128)) + n_parameters(decoder) == 5_736_149
        # Mean and log-variance heads make the 7.0 M of the variational network.
        assert n_parameters(ConvEncoder(HARPS, 256)) + n_parameters(decoder) == 7_046_997


@pytest.mark.parametrize(
    ("n_pixels", "n_stages", "n_positions"),
    [(HARPS, 14, 20), (8575, 9, 17), (4300, 8, 17), (4096, 8, 16), (40, 1, 20), (1, 0, 1)],
)
def test_stages_follow_the_grid(n_pixels, n_stages, n_positions):
    plan = plan_stages(n_pixels)
    assert (len(plan.channels), plan.n_positions) == (n_stages, n_positions)
    assert plan.n_padded >= n_pixels > plan.n_padded - 2**n_stages


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("n_pixels", [1, 2, 3, 19, 41, 64, 333, 4096])
def test_shapes_at_any_length(kind, n_pixels):
    network = make_autoencoder(kind, n_pixels, n_latents=3)
    output = network(torch.randn(2, n_pixels))
    assert output.code.shape == (2, 3)
    assert output.reconstruction.shape == (2, n_pixels)
    assert output.reconstruction.dtype == torch.float32


@pytest.mark.parametrize("kind", PAIRS)
def test_gradients_reach_every_parameter(kind):
    network = make_autoencoder(kind, 200, n_latents=3)
    network(torch.randn(4, 200)).reconstruction.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_initial_weights_keep_the_variance():
    torch.manual_seed(0)  # the input only
    encoder = initialise(ConvEncoder(HARPS // 16, 8), torch.Generator().manual_seed(0))
    decoder = initialise(ConvDecoder(8, HARPS // 16), torch.Generator().manual_seed(0))
    code = encoder(torch.randn(8, HARPS // 16))
    assert 0.2 < code.std() < 5.0
    signal = decoder(torch.randn(8, 8))
    assert 0.1 < signal.std() < 10.0


def test_initialise_depends_on_the_generator_alone():
    first, second = (
        initialise(ConvEncoder(100, 2), torch.Generator().manual_seed(3)).head.weight
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_start_linear_passes_small_deviations_unbent():
    decoder = initialise(ConvDecoder(2, 640), torch.Generator().manual_seed(0))
    decoder.start_linear()
    start = 0.05 * decoder.head(torch.randn(4, 2)).unflatten(1, decoder.bottleneck)
    start = start.transpose(1, 2)
    after = decoder.output(decoder.body(start))[..., 0]
    decoder.body[-1].slope = None  # without the last LeakyReLU
    before = decoder.body(start)[..., 0] - 3.0
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0.0)
    assert (before < 0).any() and before.abs().max() < 3.0


def test_encoder_pads_with_zeros_at_the_end():
    encoder = initialise(ConvEncoder(70, 2), torch.Generator().manual_seed(0))
    whole = initialise(ConvEncoder(72, 2), torch.Generator().manual_seed(0))
    assert encoder.n_padding == 2 and whole.n_padding == 0
    flux = torch.randn(3, 70)
    padded = torch.nn.functional.pad(flux, (0, 2))
    torch.testing.assert_close(encoder(flux), whole(padded))
