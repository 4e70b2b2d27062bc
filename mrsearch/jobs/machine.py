"""What this machine has."""


def detect_platform() -> str:
    """Returns "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
