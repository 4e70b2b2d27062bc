"""vLLM's worker on a machine without a GPU, made able to take new weights."""

from typing import Any, Self

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension


class CPUWorkerExtension(vLLMColocateWorkerExtension):  # type: ignore[misc]  # verl ships no types
    """Keeps every layer's weight beside its packed copy.

    On CPU vLLM 0.28 packs linear layers for oneDNN and drops `layer.weight`; the first weight update then fails
    and verl's sender blocks for ever. No setting of vLLM's keeps it.
    """

    def __new__(cls, **kwargs: Any) -> Self:
        from vllm.model_executor.layers import utils

        pack = utils.dispatch_cpu_unquantized_gemm
        if not hasattr(pack, "keeps_weight"):

            def pack_and_keep(layer: Any, remove_weight: bool = False) -> Any:
                return pack(layer, remove_weight=False)

            pack_and_keep.keeps_weight = True  # type: ignore[attr-defined]
            utils.dispatch_cpu_unquantized_gemm = pack_and_keep
        extension: Self = super().__new__(cls, **kwargs)
        return extension
