import pytest
import torch

from specvae.networks import ConvDecoder, ConvEncoder
from specvae.networks._resnet import ResNetDecoder, ResNetEncoder

HARPS = 327_680


def n_parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.fixture(autouse=True)
def meta_device():
    with torch.device("meta"):  # shapes without memory
        yield


@pytest.mark.parametrize(
    ("decoder", "options", "n_wanted"),
    [
        (ConvDecoder, {}, 1_660_437),
        (ResNetDecoder, {}, 11_564_545),
        (ResNetDecoder, {"kernel": 3}, 7_282_689),  # not published
    ],
)
def test_decoder_bodies(decoder, options, n_wanted):
    network = decoder(1, HARPS, **options)
    assert n_parameters(network.body, network.output) == n_wanted


@pytest.mark.parametrize(
    ("encoder", "n_wanted"),
    [(ConvEncoder, 1_443_904), (ResNetEncoder, 13_727_456)],  # the second is not published
)
def test_encoder_bodies(encoder, n_wanted):
    assert n_parameters(encoder(HARPS, 1).body) == n_wanted


def test_supervised_encoder():
    assert n_parameters(ConvEncoder(HARPS, 6)) == 1_505_350


@pytest.mark.parametrize(
    ("decoder", "n_latents", "n_heads", "n_wanted"),
    [
        (ConvDecoder, 128, 2, 7_046_997),  # heads for mean and log-variance
        (ConvDecoder, 128, 1, 5_736_149),  # deterministic
        (ResNetDecoder, 9, 2, 13_295_187),
        (ResNetDecoder, 32, 2, 14_001_793),
        (ResNetDecoder, 9, 1, 13_203_018),
    ],
)
def test_autoencoders(decoder, n_latents, n_heads, n_wanted):
    encoder = ConvEncoder(HARPS, n_heads * n_latents)
    assert n_parameters(encoder, decoder(n_latents, HARPS)) == n_wanted


@pytest.mark.parametrize("encoder", [ConvEncoder, ResNetEncoder])
def test_each_condition_adds_one_weight_for_each_output(encoder):
    plain, conditional = encoder(HARPS, 6), encoder(HARPS, 6, n_conditions=2)
    assert n_parameters(conditional) == n_parameters(plain) + 12
