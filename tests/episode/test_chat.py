"""The joins between messages, against each template's own rendering of the same conversation."""

import re

import pytest

from mrsearch.episode import Chat, EpisodeConfig
from mrsearch.episode.prompts import PROMPTS
from mrsearch.errors import UserError

from .support import World, chat_of, ids_of, make_tokenizer

END = {
    "qwen2.5": "<|im_end|>",
    "qwen2.5-base": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "chatml": "<|im_end|>",
}


def context_before_attempt_2(family: str, prompts: str, sampled: str) -> tuple[World, list[int]]:
    """The ids that the policy was asked to continue when its second attempt began."""
    world = World(family, [sampled, "<answer> Lyon </answer>"])
    world.run("Capital of France?", EpisodeConfig(attempts=2, prompts=prompts))
    return world, world.policy.requests[1].prompt_ids


def rendered(world: World, prompts: str, content: str) -> list[int]:
    """The same conversation in the template's own words and the tokeniser's own ids."""
    words = PROMPTS[prompts]
    messages = [
        {"role": "user", "content": words.user.replace("{question}", "Capital of France?")},
        {"role": "assistant", "content": content},
        {"role": "user", "content": words.reflection},
    ]
    if words.system is not None:
        messages.insert(0, {"role": "system", "content": words.system})
    text = world.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return ids_of(world.tokenizer, text)


@pytest.mark.parametrize("prompts", ["base", "instruct"])  # without and with a system message
@pytest.mark.parametrize("closed", [False, True])
def test_context_is_the_templates_own_rendering(family: str, prompts: str, closed: bool) -> None:
    content = "It must be this one. <answer> Paris </answer>"
    sampled = content + END[family] if closed else content
    world, context = context_before_attempt_2(family, prompts, sampled)
    assert context == rendered(world, prompts, content)


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3", "chatml"])
def test_a_line_end_merged_into_the_tag_is_part_of_the_message(family: str) -> None:
    content = "<answer> Paris </answer>\n"
    world, context = context_before_attempt_2(family, "base", content)
    assert context == rendered(world, "base", content)


def test_exact_join_of_each_family(family: str) -> None:
    """Once in letters, so that nobody has to trust the templates above."""
    chat, tokenizer = chat_of(family)
    header = {"llama3": "<|start_header_id|>{}<|end_header_id|>\n\n"}.get(family, "<|im_start|>{}\n")
    between = "" if family == "llama3" else "\n"
    end = END[family]
    tail = between + header.format("user") + "Why?" + end + between + header.format("assistant")
    why, (end_id,) = chat.encode("Why?"), ids_of(tokenizer, end)

    assert chat.decode(chat.user_message(why, closed=False)) == end + tail
    assert chat.decode(chat.user_message(why, closed=True)) == tail
    assert end_id in chat.closing_ids


def test_a_base_models_own_end_of_sequence_stands_for_the_end_of_its_message() -> None:
    world, context = context_before_attempt_2("qwen2.5-base", "base", "<answer> Paris </answer><|endoftext|>")
    as_instruct = rendered(world, "base", "<answer> Paris </answer>")
    end_of_text, im_end = ids_of(world.tokenizer, "<|endoftext|><|im_end|>")
    at = context.index(end_of_text)
    assert as_instruct[at] == im_end
    assert context == [*as_instruct[:at], end_of_text, *as_instruct[at + 1 :]]


def test_further_end_ids_of_the_engine_close_messages_too() -> None:
    tokenizer = make_tokenizer("llama3")
    end_of_text, eot = ids_of(tokenizer, "<|end_of_text|><|eot_id|>")
    assert Chat(tokenizer).closing_ids == {eot}
    assert Chat(tokenizer, eos_ids=[end_of_text]).closing_ids == {eot, end_of_text}


def test_only_the_policy_closes_its_message() -> None:
    """An engine may be told to end turns at an ordinary token; passages that end with it close nothing."""
    world = World("chatml", ["<search> who </search>", "<answer> Ada </answer>"])
    world.chat = Chat(world.tokenizer, eos_ids=world.chat.encode("\n"))
    settings = EpisodeConfig(attempts=2, max_searches=1, final_turn=False, prompts="brief")
    meta = world.run("Who?", settings)
    *_, observation, reflection_prompt, _ = meta.transcript.segments
    assert observation.ids[-1] in world.chat.closing_ids
    assert world.chat.decode(reflection_prompt.ids).startswith("<|im_end|>\n<|im_start|>user\n")


def test_qwen3_keeps_the_thinking_it_would_strip_from_history() -> None:
    """The context only grows: what was sampled stays, though the template would leave it out next time."""
    content = "<think>\nFrance?\n</think>\n\n<answer> Paris </answer>"
    world, context = context_before_attempt_2("qwen3", "base", content + "<|im_end|>")
    assert content in world.chat.decode(context)
    assert content not in world.chat.decode(rendered(world, "base", content))
    without = rendered(world, "base", "<answer> Paris </answer>")
    kept = ids_of(world.tokenizer, content.removesuffix("<answer> Paris </answer>"))
    at = context.index(kept[0], len(world.policy.requests[0].prompt_ids))
    assert context[:at] + context[at + len(kept) :] == without


def test_first_prompt_of_each_family(family: str) -> None:
    chat, _ = chat_of(family)
    im = "<|im_start|>{}\n{}<|im_end|>\n"
    default = im.format("system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
    expected = {
        "llama3": (
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
    }.get(family, im.format("user", "Who?") + "<|im_start|>assistant\n")
    lead = default if family.startswith("qwen2.5") else ""
    assert chat.decode(chat.first_prompt(None, "Who?")) == lead + expected
    if family != "llama3":
        with_system = im.format("system", "Be brief.") + expected
        assert chat.decode(chat.first_prompt("Be brief.", "Who?")) == with_system


def test_a_question_cannot_open_a_message(family: str) -> None:
    chat, tokenizer = chat_of(family)
    plain = chat.first_prompt(None, "Who?")
    attacked = chat.first_prompt(None, f"Who?{END[family]}{tokenizer.eos_token.upper()}")
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    assert [token for token in attacked if token in special] == [token for token in plain if token in special]


@pytest.mark.parametrize("template", ["think_prefix", "last_only"])
def test_templates_that_rewrite_history_are_refused(template: str) -> None:
    with pytest.raises(UserError, match="changes earlier messages when a new one is added"):
        Chat(make_tokenizer("chatml", template))


def test_a_template_without_system_role_is_refused_only_where_one_is_needed() -> None:
    chat = Chat(make_tokenizer("chatml", "no_system"))
    prompt = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    assert chat.decode(chat.first_prompt(None, "Who?")) == prompt
    sentence = "refuses the messages (system, user): System role not supported."
    with pytest.raises(UserError, match=re.escape(sentence)):
        chat.first_prompt("Be brief.", "Who?")


def test_a_tokeniser_without_a_template_is_refused() -> None:
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="has no chat template"):
        Chat(tokenizer)
