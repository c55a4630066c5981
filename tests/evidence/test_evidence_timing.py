import pytest
from timing import MODELS, count_parameters, nearer_to_ms, recorded_ms


def test_parameters_are_the_published_ones():
    wanted = [7_046_997, 14_001_793, 13_295_187, 1_505_350, 1_732_117, 11_636_225]
    assert [count_parameters(model) for model in MODELS] == wanted


@pytest.mark.parametrize(
    ("published", "here_ms", "is_ms"),
    [(40.0, 50.0, True), (40.0, 400.0, False), (40.0, 10.0, True)],
)
def test_reading_of_the_heading(published, here_ms, is_ms):
    assert nearer_to_ms(published, here_ms) is is_ms


def test_autoencoder_takes_the_time_of_its_parts():
    ms = recorded_ms("eager")
    parts = ms["encoder, CNN"] + ms["decoder, ResNet"]
    assert ms["AE, CNN-ResNet"] == pytest.approx(parts)
