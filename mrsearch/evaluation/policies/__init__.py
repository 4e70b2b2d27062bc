"""Who samples: a vLLM engine of this process, an endpoint, or a script; all behind one door."""

from mrsearch.evaluation.policies.opening import open_policy, resolve
from mrsearch.evaluation.policies.spec import OpenPolicy, PolicySpec

__all__ = ["OpenPolicy", "PolicySpec", "open_policy", "resolve"]
