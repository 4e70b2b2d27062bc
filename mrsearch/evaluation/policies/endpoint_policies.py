"""Policies over an endpoint: token ids where its tokeniser is at hand, messages where not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mrsearch.episode import Chat, Sampled
from mrsearch.errors import UserError
from mrsearch.evaluation.policies.endpoint import Endpoint
from mrsearch.evaluation.policies.endpoint_client import PATIENCE, EndpointClient, Refused
from mrsearch.evaluation.policies.seeds import turn_seed
from mrsearch.evaluation.policies.spec import OnText, PolicySpec
from mrsearch.evaluation.policies.text_chat import TextChat
from mrsearch.evaluation.policies.tokens import load_chat
from retriever.clients import Patience

# vLLM takes what a request leaves open from the model's generation configuration; an engine of this process does not.
_PLAIN = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}


class CompletionPolicy:
    """Token ids in; token ids out where the endpoint returns them, else its text encoded again."""

    def __init__(self, opened: "OpenCompletions", seed: int, temperature: float) -> None:
        self._opened, self._seed, self._temperature, self._turns = opened, seed, temperature, 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        opened = self._opened
        fields = {
            "prompt": list(prompt_ids),
            "max_tokens": max_tokens,
            "temperature": self._temperature,
            **_PLAIN,
            "seed": turn_seed(self._seed, self._turns),
            "logprobs": 1,
            "return_token_ids": True,
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted(opened.chat.closing_ids),
        }
        self._turns += 1
        choice = await opened.endpoint.choice("/completions", fields, stop)
        if choice is None:
            return Sampled([], None, "overflow")
        if choice.ids:
            return Sampled(choice.ids, choice.logprobs)
        opened.token_exact = False
        ids = [*opened.chat.encode(choice.text), *(opened.end if choice.ended else [])]
        return Sampled(ids[:max_tokens], None)


class ConversationPolicy:
    """Messages in, text out."""

    def __init__(self, opened: "OpenConversation", seed: int, temperature: float) -> None:
        self._opened, self._seed, self._temperature, self._turns = opened, seed, temperature, 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        opened = self._opened
        fields = {
            "messages": opened.chat.messages(prompt_ids),
            "max_tokens": max_tokens,
            "temperature": self._temperature,
            "seed": turn_seed(self._seed, self._turns),
        }
        self._turns += 1
        choice = await opened.endpoint.choice("/chat/completions", fields, stop)
        if choice is None:
            return Sampled([], None, "overflow")
        return Sampled(opened.chat.encode_turn(choice.text, max_tokens), None)


class OpenCompletions:
    """An endpoint that takes token ids; see `OpenPolicy`."""

    def __init__(self, endpoint: Endpoint, tokenizer: Any, chat: Chat) -> None:
        self.endpoint, self.chat = endpoint, chat
        self.token_exact = True
        self._tokenizer = tokenizer
        self.end = sorted(chat.closing_ids & {tokenizer.eos_token_id})
        """What stands for the end of a message that the endpoint does not show."""

    def policy(self, seed: int, temperature: float = 0.0) -> CompletionPolicy:
        return CompletionPolicy(self, seed, temperature)

    def save_tokenizer(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder)


class OpenConversation:
    """An endpoint that takes messages; see `OpenPolicy`."""

    token_exact = False

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.chat = endpoint, TextChat()

    def policy(self, seed: int, temperature: float = 0.0) -> ConversationPolicy:
        return ConversationPolicy(self, seed, temperature)

    def save_tokenizer(self, folder: Path) -> None: ...


@asynccontextmanager
async def open_endpoint(
    spec: PolicySpec, on_text: OnText | None = None, patience: Patience = PATIENCE
) -> AsyncIterator[OpenCompletions | OpenConversation]:
    """Opens a model of an endpoint; with `spec.tokenizer`, contexts go as token ids, else as messages.

    Raises:
        UserError: the endpoint does not answer, serves several models and none is named, or the tokeniser's folder
            holds none.
    """
    if spec.tokenizer and not spec.tokenizer.is_dir():
        raise UserError(f"There is no tokeniser folder {spec.tokenizer}; give the folder of the endpoint's model.")
    async with EndpointClient(spec.model, spec.concurrency, patience) as client:
        endpoint = Endpoint(client, spec.model_name or await _only_model(client), on_text)
        if spec.tokenizer:
            yield OpenCompletions(endpoint, *load_chat(spec.tokenizer))
        else:
            yield OpenConversation(endpoint)


async def served_model(spec: PolicySpec, patience: Patience = PATIENCE) -> str:
    """The name of the only model that an endpoint serves.

    Raises:
        UserError: the endpoint does not answer, or serves none or several.
    """
    async with EndpointClient(spec.model, spec.concurrency, patience) as client:
        return await _only_model(client)


async def _only_model(client: EndpointClient) -> str:
    try:
        names = await client.models()
    except Refused as refused:
        raise UserError(
            f"{client.url} does not list its models (HTTP {refused.status}: {refused.message}); name one with "
            "--model-name, and see that OPENAI_API_KEY holds the key where it needs one."
        ) from refused
    if len(names) != 1:
        some = f" ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})" if names else ""
        raise UserError(f"{client.url} serves {len(names)} models{some}; name one with --model-name.")
    return names[0]
