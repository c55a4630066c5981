import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import specvae
from specvae.estimators import SpectralVAE
from specvae.estimators._persistence._astro_machines import divide_by_published_median
from specvae.exceptions import SpectrumError
from specvae.spectra import HARPS_GRID, HARPS_MISSING

N_PIXELS, N_LATENTS = HARPS_GRID.n_pixels, 3
WIDTHS = [1, 16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 128, 128, 256, 512, 512]
KERNELS = [7, 5, 5] + [3] * 12
UP_WIDTHS = [512, 512, 256, 128, 128, 128, 64, 64, 64, 32, 32, 32, 16, 16, 16, 1]
RESNET_WIDTHS = [512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 32, 32, 16, 16, 16]


def conv_layers():
    for n in range(15):
        stride = 2 if n < 14 else 1
        layer = nn.Conv1d(WIDTHS[n], WIDTHS[n + 1], KERNELS[n], stride, KERNELS[n] // 2)
        yield nn.Sequential(layer, nn.LeakyReLU(0.1))


def deconv_layers():
    for n in range(15):
        kernel, stride = (4, 2) if n else (3, 1)
        layer = nn.ConvTranspose1d(UP_WIDTHS[n], UP_WIDTHS[n + 1], kernel, stride, 1)
        yield nn.Sequential(layer, nn.LeakyReLU(0.1))


class ResNetBlock(nn.Module):
    def __init__(self, n_in, n_out, doubles):
        super().__init__()
        stride, extra = (2, 1) if doubles else (1, 0)
        norm = nn.InstanceNorm1d
        self.net = nn.Sequential(
            norm(n_in),
            nn.ReLU(),
            nn.ConvTranspose1d(n_in, n_out, 5, stride, 2, output_padding=extra),
            norm(n_out),
            nn.ReLU(),
            nn.ConvTranspose1d(n_out, n_out, 5, 1, 2),
        )
        self.upsample = None
        if doubles:
            self.upsample = nn.Sequential(
                norm(n_in), nn.ReLU(), nn.ConvTranspose1d(n_in, n_out, 1, 2, output_padding=1)
            )

    def forward(self, values):
        return self.net(values) + (values if self.upsample is None else self.upsample(values))


class Sedaghat(nn.Module):
    """The layers under the names of astro-machines."""

    def __init__(self):
        super().__init__()
        for n, layer in enumerate(conv_layers()):
            setattr(self, f"conv{n + 1}", layer)
        self.fc11, self.fc12 = nn.Linear(10240, N_LATENTS), nn.Linear(10240, N_LATENTS)
        self.fc2 = nn.Linear(N_LATENTS, 10240)
        for n, layer in enumerate(deconv_layers()):
            setattr(self, f"deconv{15 - n}", layer)
        self.predict0 = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, flux):
        values = flux[:, None]
        for n in range(15):
            values = getattr(self, f"conv{n + 1}")(values)
        mean, log_variance = self.fc11(values.flatten(1)), self.fc12(values.flatten(1))
        values = self.fc2(mean).reshape(-1, 512, 20)
        for n in range(15, 0, -1):
            values = getattr(self, f"deconv{n}")(values)
        return mean, log_variance, self.predict0(values)[:, 0]


class Blocks(nn.Module):
    def __init__(self, *blocks, output_net=None):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        if output_net is not None:
            self.output_net = output_net

    def forward(self, values):
        values = self.blocks(values)
        return self.output_net(values) if hasattr(self, "output_net") else values


class Cvrcek(nn.Module):
    """The layers under the names of HARPS-ML-Spectra."""

    def __init__(self, decoder):
        super().__init__()
        self.register_buffer("tiled_mask", torch.ones(1, N_PIXELS))
        self.encoder = Blocks(*conv_layers(), nn.Sequential(nn.Flatten()))
        self.fc_mu, self.fc_logvar = nn.Linear(10240, N_LATENTS), nn.Linear(10240, N_LATENTS)
        self.fc_z = nn.Linear(N_LATENTS, 10240)
        if decoder == "conv":
            last = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1))
            self.decoder = Blocks(*(nn.Sequential(each) for each in deconv_layers()), last)
        else:
            blocks = [
                ResNetBlock(RESNET_WIDTHS[max(0, n - 1)], RESNET_WIDTHS[n], n > 0)
                for n in range(15)
            ]
            self.decoder = Blocks(*blocks, output_net=nn.Conv1d(16, 1, 3, padding=1))

    def forward(self, flux):
        values = self.encoder(flux[:, None])
        mean, log_variance = self.fc_mu(values), self.fc_logvar(values)
        return mean, log_variance, self.decoder(self.fc_z(mean).reshape(-1, 512, 20))[:, 0]


PUBLISHED = {
    "sedaghat": Sedaghat,
    "cvrcek conv": lambda: Cvrcek("conv"),
    "cvrcek resnet": lambda: Cvrcek("resnet"),
}


@pytest.fixture(scope="module", params=list(PUBLISHED))
def published(request):
    with torch.device("meta"):
        network = PUBLISHED[request.param]()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            scale = 0.1 if weight.ndim == 1 else (2.0 / weight[0].numel()) ** 0.5
            weight.normal_(0.0, scale, generator=generator)
        if hasattr(network, "tiled_mask"):
            network.tiled_mask.fill_(1.0)
    return network.eval()


@pytest.fixture(scope="module")
def missing():
    missing = np.zeros(N_PIXELS, dtype=bool)
    for low_aa, high_aa in HARPS_MISSING:
        missing[HARPS_GRID.slice(low_aa, high_aa)] = True
    assert missing.sum() == 18_620
    return missing


@pytest.fixture(scope="module")
def counts(missing):
    counts = np.random.default_rng(0).uniform(400.0, 1600.0, (2, N_PIXELS)).astype(np.float32)
    counts[:, missing] = 0.0
    return counts


def test_network_is_the_published_one(published, counts, missing, tmp_path):
    published_flux = counts / np.median(counts, axis=1, keepdims=True)
    with torch.inference_mode():
        mean, log_variance, flux = (
            each.numpy() for each in published(torch.tensor(published_flux))
        )
    path = tmp_path / "model.pth.tar"
    torch.save({"epoch": 182, "state_dict": published.state_dict()}, path)
    vae = specvae.load_astro_machines(path, normalize=False, device="cpu")
    assert isinstance(vae, SpectralVAE) and vae.latent_dim == N_LATENTS
    codes, std = vae.transform(published_flux, return_std=True)
    np.testing.assert_allclose(codes, mean, rtol=1e-4, atol=1e-4)
    wanted = np.exp(0.5 * np.clip(log_variance, -20.0, 20.0))
    np.testing.assert_allclose(std, wanted, rtol=1e-3)
    found = vae.inverse_transform(mean)
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(missing, found.shape))
    np.testing.assert_allclose(found[:, ~missing], flux[:, ~missing], rtol=1e-3, atol=1e-3)


def test_normalisation_is_the_published_one(published, counts, missing, tmp_path):
    state = published.state_dict()
    model = specvae.load_astro_machines(state, device="cpu")
    network = specvae.load_astro_machines(state, normalize=False, device="cpu")
    published_flux = counts / np.median(counts, axis=1, keepdims=True)
    codes = model.transform(counts)
    np.testing.assert_array_equal(codes, network.transform(published_flux))
    model[0].transform(counts)
    specvae.save(model, tmp_path / "model")
    loaded = specvae.load(tmp_path / "model", grid=HARPS_GRID)
    np.testing.assert_array_equal(loaded.transform(counts), codes)


def test_divisor_is_the_47th_percentile(counts, missing):
    masked = np.where(missing, np.nan, counts).astype(np.float64)
    divisor = masked[0, ~missing] / divide_by_published_median(masked)[0, ~missing]
    share = (masked[0, ~missing] < divisor[0]).mean()
    assert share == pytest.approx(0.4699, abs=1e-4)
    with pytest.raises(SpectrumError, match=r"spectrum 1 has a median of 0 with missing pixels"):
        divide_by_published_median(np.array([[1.0, 1.0, np.nan], [1.0, np.nan, np.nan]]))


def test_own_tensors_are_not_changed(published):
    state = {name: value.clone() for name, value in published.state_dict().items()}
    vae = specvae.load_astro_machines(state, normalize=False, device="cpu")
    with torch.no_grad():
        for weight in vae.net_.module_.parameters():
            weight.fill_(0.0)
    for name, value in published.state_dict().items():
        assert torch.equal(state[name], value)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"does not hold the tensors.*1 are unknown \(a\)"):
        specvae.load_astro_machines({"a": torch.zeros(1)})


def test_other_shapes_and_numbers_are_refused(published):
    name = next(iter(published.state_dict().keys() & {"fc2.bias", "fc_z.bias"}))
    state = published.state_dict()
    with pytest.raises(ValueError, match=r"becomes decoder.head.bias has shape \(5,\); at 327680"):
        specvae.load_astro_machines({**state, name: torch.zeros(5)})
    with pytest.raises(ValueError, match=r"decoder.head.bias holds NaN or infinity"):
        specvae.load_astro_machines({**state, name: state[name] * torch.nan})


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_checkpoint_with_code_does_not_run(kind, tmp_path):
    path, target = tmp_path / "model.pth.tar", tmp_path / "made"
    if kind == "torch":
        torch.save({"state_dict": {"fc11.weight": Bomb(target)}}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(ValueError, match=r"cannot be read without running code from it"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch guesses at the kind of a plain pickle
            specvae.load_astro_machines(path)
    assert not target.exists()
    torch.save(torch.zeros(3), path)
    with pytest.raises(ValueError, match="holds no state_dict but a Tensor"):
        specvae.load_astro_machines(path)
    with pytest.raises(FileNotFoundError):
        specvae.load_astro_machines(tmp_path / "nothing")
