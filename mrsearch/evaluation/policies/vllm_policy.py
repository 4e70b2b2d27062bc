"""The policy protocol over a vLLM engine of this process."""

import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from mrsearch.episode import Chat, Sampled
from mrsearch.errors import UserError
from mrsearch.evaluation.policies.seeds import turn_seed
from mrsearch.evaluation.policies.spec import OnText, PolicySpec, Shown
from mrsearch.evaluation.policies.tokens import load_chat
from mrsearch.models import find_model


class VllmPolicy:
    """Samples one meta-episode from an engine.

    Args:
        engine: a vLLM `AsyncLLM`.
        temperature: 0 for greedy decoding.
        closing_ids: token ids that end a turn beside the model's own end-of-sequence token.
        seed: every turn's own seed follows from it.
        on_text: called with the text as it is sampled.
    """

    def __init__(
        self,
        engine: Any,
        *,
        temperature: float,
        closing_ids: Collection[int],
        seed: int = 0,
        on_text: OnText | None = None,
    ) -> None:
        self._engine, self._temperature, self._seed, self._on_text = engine, temperature, seed, on_text
        self._closing_ids = sorted(closing_ids)
        self._turns = 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=self._temperature,
            max_tokens=max_tokens,
            stop=list(stop),
            stop_token_ids=self._closing_ids,
            include_stop_str_in_output=True,
            logprobs=0,
            seed=turn_seed(self._seed, self._turns),
            output_kind=RequestOutputKind.CUMULATIVE if self._on_text else RequestOutputKind.FINAL_ONLY,
        )
        self._turns += 1
        shown, output = Shown(self._on_text), None
        async for result in self._engine.generate(TokensPrompt(prompt_token_ids=list(prompt_ids)), params, uuid4().hex):
            output = result.outputs[0]
            shown.up_to(output.text)
        assert output is not None, "the engine gives at least one output"
        ids = list(output.token_ids)
        logprobs = [choice[token].logprob for choice, token in zip(output.logprobs or [], ids, strict=True)]
        return Sampled(ids, logprobs, "aborted" if output.finish_reason == "abort" else "stop")


class OpenVllm:
    """A running engine; see `OpenPolicy`."""

    token_exact = True

    def __init__(self, engine: Any, tokenizer: Any, chat: Chat, on_text: OnText | None) -> None:
        self.chat = chat
        self._engine, self._tokenizer, self._on_text = engine, tokenizer, on_text

    def policy(self, seed: int, temperature: float = 0.0) -> VllmPolicy:
        return VllmPolicy(
            self._engine,
            temperature=temperature,
            closing_ids=self.chat.closing_ids,
            seed=seed,
            on_text=self._on_text,
        )

    def save_tokenizer(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder)


@asynccontextmanager
async def open_vllm(spec: PolicySpec, on_text: OnText | None = None) -> AsyncIterator[OpenVllm]:
    """Loads a model folder, a run's newest checkpoint or a model of the hub into an engine of this process.

    Raises:
        UserError: there is no such model, or vLLM cannot load it.
    """
    model = find_model(spec.model)
    tokenizer, chat = load_chat(model)
    async with vllm_engine(model, context_tokens=spec.context_tokens, max_sequences=spec.concurrency) as engine:
        yield OpenVllm(engine, tokenizer, chat, on_text)


@asynccontextmanager
async def vllm_engine(model: Path, *, context_tokens: int, max_sequences: int) -> AsyncIterator[Any]:
    """A vLLM engine over a Hugging Face folder, ended with the context.

    Args:
        model: the folder.
        context_tokens: the longest prompt and output together.
        max_sequences: sequences in one batch.

    Raises:
        UserError: vLLM cannot load the model.
    """
    from vllm import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    # Without an accelerator float32 is the fast type, graphs cannot be captured and memory is named by
    # VLLM_CPU_KVCACHE_SPACE; the share then bounds nothing but must be small to pass vLLM's check. A prompt read in
    # chunks makes vLLM 0.28 wind back its request's seeded generator, which torch cannot do on a CPU.
    on_cpu: dict[str, Any] = {
        "dtype": "float32",
        "enforce_eager": True,
        "gpu_memory_utilization": 0.1,
        "enable_chunked_prefill": False,
        "distributed_executor_backend": "uni",
    }
    args = AsyncEngineArgs(
        model=str(model),
        max_model_len=context_tokens,
        max_num_seqs=max_sequences,
        disable_log_stats=True,
        **(on_cpu if current_platform.is_cpu() else {}),
    )
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    try:
        engine = AsyncLLM.from_engine_args(args)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"vLLM cannot load {model}: {_cause(error)}") from error
    try:
        yield engine
    finally:
        engine.shutdown()


def _cause(error: Exception) -> str:
    # An engine that dies in its own process leaves the cause in its output, which jobs keep in their log.
    said = " ".join(str(error).split())
    own = "Engine core initialization failed" in said
    return "its engine did not start; main.log (or the file that --log names) says why." if own else f"{said[:300]}."
