"""verl's synchronous PPO trainer, told about attempts."""

from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.plugin.platform import get_platform
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer

from mrsearch.runs import RunFolder, read_json_lines
from mrsearch.verl_plugin import estimator  # noqa: F401  registers the estimators in the trainer's process
from mrsearch.verl_plugin.attempt_columns import ATTEMPTS, COLUMNS, Attempts
from mrsearch.verl_plugin.dropping import padding_spread, rows_that_teach
from mrsearch.verl_plugin.step_metrics import attempt_metrics, group_metrics, mismatch_metrics
from mrsearch.verl_plugin.stopping import Alarms, Collapsed, spent
from mrsearch.verl_plugin.validation import validation_metrics

_LOGPROBS = ("response_mask", "old_log_probs", "rollout_log_probs")


@register_trainer("mrsearch")
class MetaEpisodeTrainer(PPOTrainerSync):  # type: ignore[misc]  # verl ships no types
    """Brings the attempts' columns to the estimator and to the metrics, and ends a run that is spent or collapsed."""

    # verl 0.9.1 takes every mode name other than "sync" for an asynchronous one.
    trainer_mode = property(lambda self: "sync", lambda self, value: None)

    def __init__(self, config: Any) -> None:
        if config.mrsearch.episode.context == "short":
            # A meta-episode is a row for each attempt, and verl counts rows: as many updates a step as with one.
            config.actor_rollout_ref.actor.ppo_mini_batch_size *= config.mrsearch.episode.attempts
        super().__init__(config)
        self._run = RunFolder(Path(config.mrsearch.run))
        self._alarms = Alarms(OmegaConf.to_container(config.mrsearch.alarms))
        self._tokens = 0.0
        self._saved: int | None = None
        self._wrong: str | None = None

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = 0.1  # 2 s by default, with no configuration key
        return buffer

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        if get_platform().device_name == "cpu":
            from mrsearch.verl_plugin.cpu.worker import worker_of

            for role in self.role_worker_mapping:
                self.role_worker_mapping[role] = ray.remote(worker_of(role))

    def _validate(self) -> dict[str, float]:
        # verl samples the meta-episodes, and the agent loop writes them down; verl's own figures add up attempts.
        super()._validate()
        return validation_metrics(read_json_lines(self._run.episodes("val", self.global_steps)))

    def on_train_begin(self) -> None:
        super().on_train_begin()
        before = [step for step in self._run.read_metrics() if step["step"] < self.global_steps]
        self._tokens = before[-1]["tokens/total"] if before else 0.0

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> Any:
        batch = super().step(metrics, timing_raw)
        self._tokens += metrics["tokens/sampled"]
        metrics["tokens/total"] = self._tokens
        self._wrong = self._alarms.watch(metrics)
        if self._wrong or spent(self._tokens, self.config.mrsearch.token_budget):
            self.total_training_steps = self.global_steps
        return batch

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()
        self._saved = self.global_steps

    def on_step_end(self) -> None:
        # verl decides whether a step is the last, and saves, before the step is run.
        if self.global_steps == self.total_training_steps != self._saved:
            self._save_checkpoint()
        super().on_step_end()

    def on_train_end(self) -> None:
        super().on_train_end()
        if self._wrong:
            raise Collapsed(f"{self._wrong}; step {self._saved} is kept as a checkpoint")

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], **options: Any) -> Any:
        # The first moment at which verl holds a step's whole batch: nothing is computed from it yet.
        data = _columns(batch, [*COLUMNS, "rm_scores"])
        episode_of_row = _episodes(batch.keys)
        _, first = np.unique(episode_of_row, return_index=True)
        groups = np.array([key.split("_")[0] for key in batch.keys], dtype=object)
        metrics |= attempt_metrics({name: data[name][first] for name in COLUMNS if name != "attempt_ids"})
        metrics["tokens/sampled"] = float((data["attempt_ids"] >= 0).sum())
        teaches, grouped = rows_that_teach(
            data["rm_scores"],
            Attempts(data["attempt_ids"], data["attempt_rewards"].shape[1], episode_of_row),
            groups,
            self.config.algorithm,
        )
        metrics |= group_metrics(grouped.statistics, dropped=len(set(groups[~teaches])))
        balanced = super()._balance_batch(_without(batch, ~teaches), metrics, **options)
        balanced.reorder(self._padding_spread(balanced))
        return balanced

    def _padding_spread(self, batch: Any) -> list[int]:
        actor, rollout = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout
        ranks = max(self.actor_rollout_wg._dispatch_info["actor"]) + 1
        updates = max(1, len(batch) // (actor.ppo_mini_batch_size * rollout.n))
        return padding_spread([bool(tag.get("is_padding")) for tag in batch.tags], ranks, updates)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        columns = _columns(batch, ["attempt_ids", "attempt_rewards", *_LOGPROBS])
        # Padding rows copy a source row with all its columns; they are nobody's attempts.
        columns["attempt_ids"][torch.tensor([bool(tag.get("is_padding")) for tag in batch.tags])] = -1
        metrics |= mismatch_metrics(columns)
        attempts = Attempts(columns["attempt_ids"], columns["attempt_rewards"].shape[1], _episodes(batch.keys))
        token = ATTEMPTS.set(attempts)
        try:
            return super()._compute_advantage(batch, metrics)
        finally:
            ATTEMPTS.reset(token)


def _episodes(keys: list[str]) -> np.ndarray:
    """The meta-episode of each row: verl's keys are GROUP_MEMBER_ROW."""
    return np.array([key.rsplit("_", 1)[0] for key in keys], dtype=object)


def _columns(batch: Any, names: list[str]) -> dict[str, torch.Tensor]:
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=names)
    return {name: _padded(data[name], fill=-1 if name == "attempt_ids" else 0) for name in names}


def _padded(column: torch.Tensor, fill: int) -> torch.Tensor:
    return column.to_padded_tensor(fill) if column.is_nested else column


def _without(batch: Any, drop_B: np.ndarray) -> Any:
    """The batch without some of its rows, which are forgotten."""
    if not drop_B.any():
        return batch
    tq.kv_clear(
        keys=[key for key, drop in zip(batch.keys, drop_B, strict=True) if drop], partition_id=batch.partition_id
    )
    kept = np.flatnonzero(~drop_B)
    return KVBatchMeta(
        partition_id=batch.partition_id,
        keys=[batch.keys[row] for row in kept],
        tags=[batch.tags[row] for row in kept],
        fields=batch.fields,
        extra_info=batch.extra_info,
    )
