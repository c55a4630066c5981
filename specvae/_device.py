"""The only module that chooses a device."""

import torch


def resolve_device(device: str) -> torch.device:
    """Return the device named, or the fastest present for ``"auto"``.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps", ...

    Raises
    ------
    ValueError
        If the name is unknown or the machine has no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        # Double precision and several operations are missing on "mps": it must be asked for.
        return torch.device("cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto' or a torch device such as 'cpu' or 'cuda:0', got {device!r}."
        ) from error
    try:
        torch.zeros(1, device=resolved).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used on this machine ({error}); use device='auto'."
        ) from error
    return resolved
