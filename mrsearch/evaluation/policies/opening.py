"""Opens the policy that a name stands for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mrsearch.evaluation.policies.endpoint_policies import open_endpoint, served_model
from mrsearch.evaluation.policies.scripted import open_script
from mrsearch.evaluation.policies.spec import OnText, OpenPolicy, PolicySpec
from mrsearch.evaluation.policies.vllm_policy import open_vllm
from mrsearch.models import find_model

Opener = Callable[[PolicySpec, OnText | None], AbstractAsyncContextManager[OpenPolicy]]


@asynccontextmanager
async def open_policy(spec: PolicySpec, on_text: OnText | None = None) -> AsyncIterator[OpenPolicy]:
    """Makes a model ready to sample, for the time of the context.

    Args:
        spec: who and how.
        on_text: called with the text as it is sampled, piece by piece.

    Raises:
        UserError: there is no such model, it cannot be loaded, or its endpoint does not answer.
    """
    openers: dict[str, Opener] = {"scripted": open_script, "http": open_endpoint, "https": open_endpoint}
    opener = openers.get(spec.model.partition(":")[0], open_vllm)
    async with opener(spec, on_text) as opened:
        yield opened


def resolve(spec: PolicySpec) -> PolicySpec:
    """Names the model that the spec stands for now: of a run its newest checkpoint, of an endpoint the one it serves.

    A model of the hub is brought to this machine, so this is to be called before libraries are told to stay off the
    network.

    Raises:
        UserError: there is no such model, or its endpoint does not answer or serves several.
    """
    if spec.in_process:
        folder = find_model(spec.model)
        return replace(spec, model=str(folder)) if Path(spec.model).is_dir() else spec
    if spec.model.startswith(("http://", "https://")) and spec.model_name is None:
        return replace(spec, model_name=asyncio.run(served_model(spec)))
    return spec
