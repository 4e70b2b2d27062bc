"""verl's agent loop: one meta-episode per call, through the same code as evaluation and the demo."""

import struct
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopBase

from mrsearch.credit import FINAL_ONLY
from mrsearch.episode import Chat, EpisodeConfig, MetaEpisode, Sampled, run_meta_episode
from mrsearch.models import end_ids
from mrsearch.rewards import Shaping, attempt_rewards, scored_record, shaped_rewards
from mrsearch.runs import RunFolder, append_json_line
from mrsearch.verl_plugin.attempt_columns import MetaEpisodeOutput, training_rows
from retriever.clients import open_searcher

# One searcher and one chat for all meta-episodes of a process: their queries are coalesced into common calls.
_searcher = lru_cache(maxsize=1)(open_searcher)
_chat = lru_cache(maxsize=1)(Chat)


class VerlPolicy:
    """The policy protocol over verl's rollout server; one per meta-episode, so that its prefix cache is met again."""

    def __init__(self, server: Any, sampling: Mapping[str, Any], closing_ids: Collection[int]) -> None:
        self._server, self._sampling, self._closing_ids = server, sampling, sorted(closing_ids)
        self._request_id = uuid4().hex
        self.steps: tuple[int, int] | None = None
        """Oldest and newest policy version that sampled, once any has."""

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        output = await self._server.generate(
            request_id=self._request_id,
            prompt_ids=list(prompt_ids),
            sampling_params={
                **self._sampling,
                "max_tokens": max_tokens,
                "stop": list(stop),
                "stop_token_ids": self._closing_ids,
                "include_stop_str_in_output": True,
            },
        )
        self._note_versions(output.extra_fields)
        aborted = output.stop_reason == "aborted"
        return Sampled(output.token_ids, output.log_probs, "aborted" if aborted else "stop")

    def _note_versions(self, extra: Mapping[str, Any]) -> None:
        oldest, newest = extra["min_global_steps"], extra["max_global_steps"]
        if self.steps:
            oldest, newest = min(oldest, self.steps[0]), max(newest, self.steps[1])
        self.steps = oldest, newest


def signature(rewards: Sequence[float]) -> float:
    """A whole number that tells lists of rewards apart: verl's dynamic sampling compares one number a meta-episode.

    >>> signature([0.0, 1.0]) == signature([0.0, 1.0]), signature([0.0, 1.0]) == signature([1.0, 0.0])
    (True, False)
    """
    return float(crc32(struct.pack(f"{len(rewards)}d", *rewards)))


class MetaEpisodeLoop(AgentLoopBase):  # type: ignore[misc]  # verl ships no types
    """Samples one meta-episode, scores its attempts and writes its record into the run folder.

    verl gets a row for each sequence of its transcript: one in a full context.
    """

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> list[MetaEpisodeOutput]:
        settings = self.config.mrsearch
        chat = _chat(self.tokenizer, end_ids(Path(settings.model)))
        policy = VerlPolicy(self.server_manager, sampling_params, chat.closing_ids)
        episode = await run_meta_episode(
            row["extra_info"]["question"],
            policy,
            _searcher(settings.searcher),
            chat,
            EpisodeConfig(**OmegaConf.to_container(settings.episode)),
        )
        rewards = attempt_rewards(episode, list(row["reward_model"]["ground_truth"]["target"]), settings.reward)
        shaping = Shaping(**settings.shaping)
        shaped = shaped_rewards(rewards, episode, shaping) if shaping.on else None
        compared = (shaped or rewards)[-1:] if self.config.algorithm.adv_estimator in FINAL_ONLY else shaped or rewards
        self._record(episode, rewards, shaped, row)
        oldest, newest = policy.steps or (row["global_steps"], row["global_steps"])
        return [
            MetaEpisodeOutput(
                **fields,
                shaped_rewards=shaped,
                extra_fields={
                    "min_global_steps": oldest,
                    "max_global_steps": newest,
                    "reward_extra_info": {"signature": signature(compared)},
                },
            )
            for fields in training_rows(episode, rewards, self.tokenizer.pad_token_id)
        ]

    def _record(
        self, episode: MetaEpisode, rewards: Sequence[float], shaped: Sequence[float] | None, row: Mapping[str, Any]
    ) -> None:
        run, info = RunFolder(Path(self.config.mrsearch.run)), row["extra_info"]
        record = scored_record(
            episode,
            rewards,
            question_id=info["id"],
            source=row["data_source"],
            golds=list(info["golden_answers"]),
            shaped=shaped,
        )
        place = {"group": row["uid"], "member": int(row["session_id"])}
        append_json_line(run.episodes(info["split"], int(row["global_steps"])), place | record)
