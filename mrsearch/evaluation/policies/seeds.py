"""Seeds that depend on a name alone, so that neither order nor interruption moves a result."""

import hashlib


def named_seed(name: str) -> int:
    """31 bits of the name's SHA-256: what every engine and endpoint takes."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big") >> 1


def turn_seed(seed: int, turn: int) -> int:
    """A seed for one turn of a meta-episode: an engine starts anew from it at every turn."""
    return named_seed(f"{seed} {turn}")
