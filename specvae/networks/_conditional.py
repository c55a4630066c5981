"""Conditions: numbers that enter a network beside its features or its code."""

import torch
from torch import Tensor


def join_conditions(values: Tensor, conditions: Tensor | None, n_conditions: int) -> Tensor:
    """Append standardised conditions to the values that a linear layer takes.

    Parameters
    ----------
    values : Tensor of shape (batch, n_values)
        Features before the head of an encoder, or the code before a decoder.
    conditions : Tensor of shape (batch, n_conditions), or None
        Standardised; None if and only if `n_conditions` is 0.
    n_conditions : int
        For how many the network was built.

    Returns
    -------
    joined : Tensor of shape (batch, n_values + n_conditions)

    Raises
    ------
    ValueError
        If the conditions are missing, not wanted, or of another shape.

    Examples
    --------
    >>> join_conditions(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), 1)
    tensor([[1., 2., 3.]])
    """
    wanted = (len(values), n_conditions)
    if conditions is None and n_conditions == 0:
        return values
    if conditions is None or n_conditions == 0 or conditions.shape != wanted:
        came = "None" if conditions is None else f"shape {tuple(conditions.shape)}"
        needs = f"a tensor of shape {wanted}" if n_conditions else "None"
        raise ValueError(
            f"conditions must be {needs}, got {came}: the network has n_conditions={n_conditions} "
            f"and the batch {len(values)} rows."
        )
    return torch.cat([values, conditions], dim=1)
