"""What a fitted estimator has learnt: it and arrays go in, a frozen result comes out."""

__all__: list[str] = []
