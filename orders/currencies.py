"""Currencies and their decimals. Source: ISO 4217. Pure."""

NONE = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905
)
THREE = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


def decimals_of(currency: str) -> int:
    """Return how many decimals an amount in a currency has at least."""
    if currency in NONE:
        return 0
    return 3 if currency in THREE else 2
