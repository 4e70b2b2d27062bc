"""Runs of the real stack, started as a user starts them and watched from outside."""

import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from mrsearch.data.world import WorldParameters, make_world, write_world

_MARK = "MRSEARCH_TEST_RUN"


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        left: command lines of processes it left running.
    """

    status: int
    output: str
    left: list[str]


def mrsearch(*arguments: str | Path, timeout: float = 600) -> Finished:
    """Runs the command line in a process of its own, marked so that whatever it leaves running is found."""
    mark = uuid.uuid4().hex
    here = Path(__file__).parent
    environment = os.environ | {_MARK: mark, "PYTHONPATH": str(here), "COLUMNS": "200", "WANDB_MODE": "offline"}
    command = [sys.executable, "-m", "mrsearch", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    return Finished(done.returncode, done.stdout + done.stderr, _left_running(mark))


def _left_running(mark: str) -> list[str]:
    ours = [process for process in psutil.process_iter() if _environment(process).get(_MARK) == mark]
    _, alive = psutil.wait_procs(ours, timeout=20)
    return [" ".join(process.cmdline()) for process in alive]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of the quickstart's kind with few names."""
    folder = tmp_path_factory.mktemp("world") / "world"
    write_world(
        make_world(
            WorldParameters(names=400, warm_start_questions=100, train_questions=200, test_questions=50), seed=1
        ),
        folder,
    )
    return folder


@pytest.fixture(scope="session")
def random_qwen3(quickstart_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 model of random weights that speaks in the warm start's tokens."""
    folder = tmp_path_factory.mktemp("qwen3")
    tokenizer = AutoTokenizer.from_pretrained(quickstart_model)
    tokenizer.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def train_settings(steps: int) -> Sequence[str]:
    return [
        "mrsearch.memory_gib=4",
        "data.train_batch_size=4",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16",
        f"trainer.total_training_steps={steps}",
        "trainer.save_freq=1",
        "trainer.max_actor_ckpt_to_keep=null",
    ]
