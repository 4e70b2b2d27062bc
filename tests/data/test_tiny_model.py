"""The warm start's tokeniser and model, as built and as committed."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import build_model, build_tokenizer, save
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Tokenizer

from mrsearch.data.world.names import EMPLOYERS, FIRST_NAMES, LAST_NAMES, OCCUPATIONS, RELATIONS, TOWNS
from mrsearch.episode import Chat

MODEL = Path(__file__).parents[2] / "recipes" / "quickstart" / "model"
TAGS = [
    f"<{slash}{name}>" for name in ("think", "search", "information", "answer", "reflection") for slash in ("", "/")
]
MARKERS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.fixture(scope="module")
def built() -> Qwen2Tokenizer:
    return build_tokenizer([" has", "user\n", "assistant\n"])


@pytest.fixture(scope="module", params=["built", "committed"])
def tokenizer(request: pytest.FixtureRequest, built: Qwen2Tokenizer) -> Qwen2Tokenizer:
    if request.param == "built":
        return built
    return AutoTokenizer.from_pretrained(MODEL)


def decode(tokenizer: Qwen2Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(built: Qwen2Tokenizer, text: str) -> None:
    """As with every tokeniser of Qwen2's class, in its NFC form."""
    assert decode(built, built.encode(text, add_special_tokens=False)) == unicodedata.normalize("NFC", text)


def test_names_are_one_or_two_tokens(tokenizer: Qwen2Tokenizer) -> None:
    words = [*FIRST_NAMES, *LAST_NAMES, *TOWNS, *EMPLOYERS, *OCCUPATIONS, *RELATIONS]
    assert max(len(tokenizer.encode(f" {word}", add_special_tokens=False)) for word in words) <= 2


def test_tags_are_single_ids_and_stay_visible(tokenizer: Qwen2Tokenizer) -> None:
    for tag in TAGS:
        ids = tokenizer.encode(f"x{tag}y", add_special_tokens=False)
        assert len(ids) == 3, tag
        assert tokenizer.decode(ids, skip_special_tokens=True) == f"x{tag}y"
        assert tag not in tokenizer.all_special_tokens


def test_markers_are_special_and_text_cannot_make_them(tokenizer: Qwen2Tokenizer) -> None:
    chat = Chat(tokenizer)
    for marker in MARKERS:
        (special,) = tokenizer.encode(marker, add_special_tokens=False)
        assert special not in chat.encode(marker)
        assert chat.decode(chat.encode(marker)) == marker
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_the_template_is_chatml_without_a_default_system_message(tokenizer: Qwen2Tokenizer) -> None:
    user, system = {"role": "user", "content": "Who?"}, {"role": "system", "content": "Be brief."}
    render = tokenizer.apply_chat_template
    assert render([user], tokenize=False) == "<|im_start|>user\nWho?<|im_end|>\n"
    assert render([system, user], tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_saved_and_loaded_it_is_the_same(built: Qwen2Tokenizer, tmp_path: Path) -> None:
    model = build_model(built, seed=1)
    save(model, built, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == built.get_vocab()
    assert (tmp_path / "chat_template.jinja").is_file()


def test_the_committed_model_is_as_described() -> None:
    config = json.loads((MODEL / "config.json").read_text())
    expected = {
        "architectures": ["Qwen2ForCausalLM"],
        "num_hidden_layers": 3,
        "hidden_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 352,
        "tie_word_embeddings": True,
        "max_position_embeddings": 2048,
        "dtype": "float32",
    }
    assert {name: config[name] for name in expected} == expected
    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModelForCausalLM.from_pretrained(MODEL)
    assert config["vocab_size"] == len(tokenizer) == model.get_input_embeddings().num_embeddings
    assert {str(parameter.dtype) for parameter in model.parameters()} == {"torch.float32"}
    assert model.num_parameters() < 1_000_000
    assert tokenizer.eos_token_id in model.generation_config.eos_token_id
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 5_000_000
    assert {"model.safetensors", "chat_template.jinja", "generation_config.json", "warm_start.json"} <= {
        path.name for path in MODEL.iterdir()
    }
