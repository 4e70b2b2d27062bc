"""Every family of encoders gets its texts and pools its tokens as its authors do; small models, random weights."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_models
import torch
import transformers

from retriever.encoders import load_encoder, new_encoder
from retriever.errors import BadModel
from retriever.types import Document

QUERIES = ["who wrote Germinal ?", "capital of France"]
PASSAGES = [
    Document("1", "Émile Zola", "He wrote Germinal , a novel about miners ."),
    Document("2", "", "A text without a title ."),
]
WEB_SEARCH = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
BGE = "Represent this sentence for searching relevant passages: "


@cache
def loaded(folder: Path, network: Any) -> tuple[Any, Any]:
    return transformers.AutoTokenizer.from_pretrained(folder), network.from_pretrained(folder).eval()


def states(folder: Path, text: str, network: Any = transformers.AutoModel) -> npt.NDArray[np.float32]:
    """The last hidden states of one text, shape (tokens, 16), straight from transformers."""
    tokenizer, model = loaded(folder, network)
    tokens = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        output = model(input_ids=tokens["input_ids"])
    hidden = output.pooler_output if "DPR" in type(model).__name__ else output.last_hidden_state[0]
    return np.asarray(hidden.numpy(), dtype=np.float32)


def unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    ("name", "query", "passages", "pool"),
    [
        (
            "e5-base-v2",
            "query: capital of France",
            [
                'passage: "Émile Zola"\nHe wrote Germinal , a novel about miners .',
                "passage: A text without a title .",
            ],
            lambda hidden: unit(hidden.mean(0)),
        ),
        (
            "bge-small-en-v1.5",
            BGE + "capital of France",
            ["Émile Zola He wrote Germinal , a novel about miners .", "A text without a title ."],
            lambda hidden: unit(hidden[0]),
        ),
        (
            "gte-small",
            "capital of France",
            ["Émile Zola He wrote Germinal , a novel about miners .", "A text without a title ."],
            lambda hidden: unit(hidden.mean(0)),
        ),
        (
            "gte-modernbert-base",
            "capital of France",
            ["Émile Zola He wrote Germinal , a novel about miners .", "A text without a title ."],
            lambda hidden: unit(hidden[0]),
        ),
        (
            "contriever-msmarco",
            "capital of France",
            ["Émile Zola He wrote Germinal , a novel about miners .", "A text without a title ."],
            lambda hidden: hidden.mean(0),
        ),
        (
            "all-MiniLM-L12-v2",
            "capital of France",
            ["Émile Zola He wrote Germinal , a novel about miners .", "A text without a title ."],
            lambda hidden: unit(hidden.mean(0)),
        ),
    ],
)
def test_a_bert_of_each_family(tmp_path: Path, name: str, query: str, passages: list[str], pool: Any) -> None:
    folder = tiny_models.save_bert(tmp_path / name)
    encoder = new_encoder(str(folder), device="cpu")
    assert encoder.dimension == 16
    np.testing.assert_allclose(encoder.encode_queries(QUERIES)[1], pool(states(folder, query)), atol=1e-6)
    expected = [pool(states(folder, text)) for text in passages]
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES), expected, atol=1e-6)


def test_bge_m3_is_an_xlm_roberta_without_instruction(tmp_path: Path) -> None:
    words = " ".join([*QUERIES, *(f"{passage.title} {passage.text}" for passage in PASSAGES)]).split()
    folder = tiny_models.save_xlm_roberta(tmp_path / "bge-m3", words)
    encoder = new_encoder(str(folder), device="cpu")
    np.testing.assert_allclose(encoder.encode_queries(QUERIES)[1], unit(states(folder, QUERIES[1])[0]), atol=1e-6)
    shorter = unit(states(folder, "A text without a title .")[0])
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES)[1], shorter, atol=1e-6)


def test_e5_mistral_takes_an_instruction_and_its_end_token(tmp_path: Path) -> None:
    words = f"{WEB_SEARCH} {' '.join(QUERIES)} A text without a title .".split()
    folder = tiny_models.save_mistral(tmp_path / "e5-mistral-7b-instruct", words)
    encoder = new_encoder(str(folder), device="cpu")
    ended = states(folder, f"{WEB_SEARCH}capital of France </s>")[-1]
    np.testing.assert_allclose(encoder.encode_queries(QUERIES)[1], unit(ended), atol=1e-6)
    passage = states(folder, "A text without a title . </s>")[-1]
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES)[1], unit(passage), atol=1e-6)


def test_dpr_has_two_models_and_pairs_title_and_text(tmp_path: Path) -> None:
    queries = tiny_models.save_bert(tmp_path / "dpr-question_encoder-x", transformers.DPRQuestionEncoder)
    passages = tiny_models.save_bert(tmp_path / "dpr-ctx_encoder-x", transformers.DPRContextEncoder)
    encoder = new_encoder(str(passages), device="cpu")
    expected = states(queries, QUERIES[0], transformers.DPRQuestionEncoder)[0]
    np.testing.assert_allclose(encoder.encode_queries(QUERIES)[0], expected, atol=1e-6)

    tokenizer, network = loaded(passages, transformers.DPRContextEncoder)
    pair = tokenizer(PASSAGES[0].title, PASSAGES[0].text, return_tensors="pt")
    with torch.no_grad():
        expected = network(input_ids=pair["input_ids"]).pooler_output[0].numpy()
    np.testing.assert_allclose(encoder.encode_passages(PASSAGES)[0], expected, atol=1e-6)

    again = load_encoder(encoder.spec, device="cpu")
    np.testing.assert_array_equal(again.encode_queries(QUERIES), encoder.encode_queries(QUERIES))
    assert new_encoder(str(queries), device="cpu").spec == encoder.spec


def test_dpr_under_other_names_needs_both(tmp_path: Path) -> None:
    queries = tiny_models.save_bert(tmp_path / "ask", transformers.DPRQuestionEncoder)
    passages = tiny_models.save_bert(tmp_path / "tell", transformers.DPRContextEncoder)
    with pytest.raises(BadModel, match="is one of DPR's two models \\(a DPRContextEncoder\\)"):
        new_encoder(str(passages))
    with pytest.raises(BadModel, match="is one of DPR's two models \\(a DPRQuestionEncoder\\)"):
        new_encoder(str(queries), query_model=str(passages))
    encoder = new_encoder(str(passages), query_model=str(queries), device="cpu")
    assert encoder.encode_queries(QUERIES).shape == (2, 16)


def test_a_folder_of_the_hub_s_cache_is_known_by_its_model_s_name(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "models--intfloat--e5-small-v2" / "snapshots" / "ffb93f3bd4047442")
    assert new_encoder(str(folder), device="cpu").spec["query_prefix"] == "query: "


def test_chinese_bge_has_a_chinese_instruction(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "bge-base-zh-v1.5")
    assert new_encoder(str(folder), device="cpu").spec["query_prefix"] == "为这个句子生成表示以用于检索相关文章："
