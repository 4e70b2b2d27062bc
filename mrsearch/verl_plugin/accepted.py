"""The values that settings of a training take."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mrsearch.credit import ESTIMATORS
from mrsearch.rewards import METRICS

CRITIC = "gae"
"""verl's own estimator, the only one with a critic."""


class Range(NamedTuple):
    """Numbers that a setting takes."""

    holds: Callable[[float], bool]
    words: str


_SHARE = Range(lambda value: 0 <= value <= 1, "a number from 0 to 1")
_PART = Range(lambda value: 0 < value <= 1, "a number above 0 and at most 1")
_POSITIVE = Range(lambda value: value > 0, "a number above 0")
_NOT_NEGATIVE = Range(lambda value: value >= 0, "a number of at least 0")
_COUNT = Range(lambda value: value >= 1 and value == int(value), "a whole number of at least 1")
_COUNT_OR_NONE = Range(lambda value: value >= 0 and value == int(value), "a whole number of at least 0")
_EVERY = Range(lambda value: value >= -1 and value == int(value), "a number of steps, or -1 for never")
_NUMBER = Range(lambda value: True, "a number")
_PORT = Range(lambda value: 1 <= value <= 65535 and value == int(value), "a port from 1 to 65535")

ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
NUMBERS = {
    "algorithm.gamma": _SHARE,
    "algorithm.lam": _SHARE,
    "algorithm.kl_ctrl.kl_coef": _NOT_NEGATIVE,
    "data.train_batch_size": _COUNT,
    f"{ACTOR}.ppo_mini_batch_size": _COUNT,
    f"{ACTOR}.ppo_epochs": _COUNT,
    f"{ACTOR}.ppo_max_token_len_per_gpu": _COUNT,
    f"{ACTOR}.clip_ratio": _POSITIVE,
    f"{ACTOR}.clip_ratio_low": _PART,
    f"{ACTOR}.clip_ratio_high": _POSITIVE,
    f"{ACTOR}.kl_loss_coef": _NOT_NEGATIVE,
    f"{ACTOR}.entropy_coeff": _NUMBER,
    f"{ACTOR}.optim.lr": _POSITIVE,
    f"{ACTOR}.optim.clip_grad": _POSITIVE,
    f"{ROLLOUT}.n": _COUNT,
    f"{ROLLOUT}.temperature": _POSITIVE,
    f"{ROLLOUT}.top_p": _PART,
    f"{ROLLOUT}.gpu_memory_utilization": _PART,
    f"{ROLLOUT}.tensor_model_parallel_size": _COUNT,
    "actor_rollout_ref.model.lora_rank": _COUNT_OR_NONE,
    "trainer.nnodes": _COUNT,
    "trainer.n_gpus_per_node": _COUNT,
    "trainer.total_epochs": _COUNT,
    "trainer.save_freq": _EVERY,
    "trainer.test_freq": _EVERY,
    "mrsearch.seed": _COUNT_OR_NONE,
    "mrsearch.memory_gib": _NOT_NEGATIVE,
    "mrsearch.stall_minutes": _POSITIVE,
    "mrsearch.gpu_memory_gib": _NOT_NEGATIVE,
}

NUMBERS_OR_NULL = {
    "trainer.total_training_steps": _COUNT,
    "mrsearch.token_budget": _COUNT,
    "mrsearch.port": _PORT,
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": _COUNT,
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": _COUNT,
}

_KL = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "k1+", "k3+")
WORDS: dict[str, Sequence[str | None]] = {
    "mrsearch.reward": tuple(METRICS),
    "algorithm.adv_estimator": (*ESTIMATORS, CRITIC),
    "algorithm.kl_penalty": _KL,
    "algorithm.rollout_correction.rollout_is": (None, "token", "sequence"),
    f"{ACTOR}.kl_loss_type": _KL,
    f"{ACTOR}.loss_agg_mode": (
        "token-mean",
        "token-sum",
        "seq-mean-token-sum",
        "seq-mean-token-mean",
        "seq-mean-token-sum-norm",
    ),
}


# What estimators of ours are called in other projects.
ELSEWHERE = {
    "grpo": "trajectory_grpo",
    "rloo": "trajectory_rloo",
    "mt_grpo": "turn_grpo",
    "reinforce_plus_plus": "turn_reinforce_plus_plus",
    "ppo": CRITIC,
}

# What the trainer of meta-episodes is built on; another value would train something else, or fail in the first step.
FIXED: dict[str, object] = {
    f"{ROLLOUT}.name": "vllm",
    f"{ROLLOUT}.calculate_log_probs": True,
    f"{ROLLOUT}.agent.default_agent_loop": "meta_episode",
    "algorithm.rollout_correction.bypass_mode": False,
    "algorithm.filter_groups.metric": "signature",
    "trainer.v1.trainer_mode": "mrsearch",
}
