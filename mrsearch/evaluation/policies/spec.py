"""What is asked for, and what is got."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mrsearch.episode import ChatLike, Policy

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """Who samples, and how.

    Attributes:
        model: a model folder, the run folder of a training, a name on the Hugging Face Hub, the URL of an
            OpenAI-compatible endpoint, or `scripted:NAME`.
        temperature: 0 for greedy decoding.
        seed: of sampled decoding.
        concurrency: meta-episodes under way at once.
        context_tokens: the longest prompt and output together.
        model_name: the model's name at an endpoint; None where it serves one only.
        tokenizer: folder of the tokeniser of an endpoint's model; with it, contexts go as token ids.
    """

    model: str
    temperature: float = 0.0
    seed: int = 0
    concurrency: int = 64
    context_tokens: int = 8192
    model_name: str | None = None
    tokenizer: Path | None = None

    @property
    def in_process(self) -> bool:
        """Whether the model is loaded into this process."""
        return self.model.partition(":")[0] not in ("scripted", "http", "https")


class OpenPolicy(Protocol):
    """A model that is ready to sample."""

    @property
    def chat(self) -> ChatLike:
        """Renders the contexts of its meta-episodes."""
        ...

    @property
    def token_exact(self) -> bool:
        """Whether the ids in a transcript are those that the model read and sampled, as far as is known by now."""
        ...

    def policy(self, seed: int, temperature: float = 0.0) -> Policy:
        """The policy of one meta-episode; the same seed samples the same, whatever else is under way."""
        ...

    def save_tokenizer(self, folder: Path) -> None:
        """Writes the files of the tokeniser into a folder, so that transcripts can be read; nothing where none is."""
        ...


class Shown:
    """Passes on the new part of a text that grows; begun anew, it passes on only what goes beyond."""

    def __init__(self, on_text: OnText | None) -> None:
        self._on_text, self._length = on_text, 0

    def up_to(self, text: str) -> None:
        if self._on_text and len(text) > self._length:
            self._on_text(text[self._length :])
            self._length = len(text)
