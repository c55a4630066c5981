import pytest
import torch

from specvae.networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder, initialise
from specvae.networks._conditional import join_conditions
from specvae.networks._resnet import ResNetDecoder, ResNetEncoder

ENCODERS = [ConvEncoder, DenseEncoder, ResNetEncoder]
DECODERS = [ConvDecoder, DenseDecoder, ResNetDecoder]
N_PIXELS = 50


def drawn(network, seed=0):
    return initialise(network, torch.Generator().manual_seed(seed))


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_conditions_enter_the_head_of_an_encoder(encoder):
    network = drawn(encoder(N_PIXELS, 3, n_conditions=2))
    head = network.body[-1] if encoder is DenseEncoder else network.head
    flux, conditions = normal(4, N_PIXELS), normal(4, 2, seed=2)
    moved = network(flux, conditions) - network(flux, torch.zeros(4, 2))
    torch.testing.assert_close(moved, conditions @ head.weight[:, -2:].T, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_conditions_join_the_code_of_a_decoder(decoder):
    conditional, plain = drawn(decoder(3, N_PIXELS, n_conditions=2)), drawn(decoder(5, N_PIXELS))
    values = normal(4, 5)
    torch.testing.assert_close(conditional(values[:, :3], values[:, 3:]), plain(values))


@pytest.mark.parametrize("network", [*ENCODERS, *DECODERS])
def test_gradients_reach_the_conditions(network):
    conditions = normal(4, 2).requires_grad_()
    drawn(network(N_PIXELS, 7, n_conditions=2))(normal(4, N_PIXELS), conditions).sum().backward()
    assert (conditions.grad.abs().sum(dim=0) > 0).all()


@pytest.mark.parametrize("network", [*ENCODERS, *DECODERS])
def test_no_conditions_is_the_plain_network(network):
    values = normal(4, N_PIXELS)
    plain, zero = drawn(network(N_PIXELS, 7)), drawn(network(N_PIXELS, 7, n_conditions=0))
    assert torch.equal(plain(values), zero(values, None))


@pytest.mark.parametrize("network", [*ENCODERS, *DECODERS])
@pytest.mark.parametrize(
    ("n_conditions", "shape", "message"),
    [
        (2, None, r"a tensor of shape \(4, 2\), got None"),
        (2, (4, 3), r"a tensor of shape \(4, 2\), got shape \(4, 3\)"),
        (2, (1, 2), r"got shape \(1, 2\)"),
        (2, (4,), r"got shape \(4,\)"),
        (0, (4, 2), r"must be None, got shape \(4, 2\)"),
    ],
)
def test_wrong_conditions_are_refused(network, n_conditions, shape, message):
    module = network(N_PIXELS, 7, n_conditions=n_conditions)
    conditions = None if shape is None else torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        module(torch.zeros(4, N_PIXELS), conditions)


def test_join_conditions_by_hand():
    joined = join_conditions(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0], [6.0]]), 1
    )
    assert joined.tolist() == [[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]]
