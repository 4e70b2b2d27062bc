"""Encoders: the MiniLM at hand, what a spec keeps, and what is said when a model cannot be used."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from huggingface_hub import constants

from retriever.encoders import Encoder, load_encoder, new_encoder
from retriever.encoders.batches import apart, by_length
from retriever.encoders.checkpoint import Checkpoint, packaged_minilm
from retriever.encoders.resolve import resolve_spec
from retriever.encoders.tower import Tower
from retriever.errors import BadModel, BadRequest
from retriever.types import Document

WORDS = ["the", "red", "fox", "wrote", "a", "novel", "about", "coal", "miners", "in", "northern", "forests", "of"]


def sentences(count: int) -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 20))) for _ in range(count)]


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return new_encoder("minilm", device="cpu")


def test_minilm_needs_no_download_and_knows_what_belongs_together(minilm: Encoder) -> None:
    documents = [
        Document("1", "Émile Zola", "Émile Zola wrote Germinal, a novel about coal miners."),
        Document("2", "Red fox", "The red fox is the largest of the true foxes."),
        Document("3", "Paris", "Paris is the capital of France."),
    ]
    queries = minilm.encode_queries(["the seat of government of France", "an animal with a bushy tail", "a book"])
    assert queries.shape == (3, minilm.dimension) == (3, 384)
    assert queries.dtype == np.float32
    assert (queries @ minilm.encode_passages(documents).T).argmax(1).tolist() == [2, 1, 0]


@pytest.mark.slow
def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: Encoder, shared_qa: Path) -> None:
    from sentence_transformers import SentenceTransformer

    with (shared_qa / "corpus" / "wiki_mini.jsonl").open(encoding="utf-8") as lines:
        contents = [json.loads(line)["contents"].partition("\n") for line, _ in zip(lines, range(40), strict=False)]
    documents = [Document(str(number), title.strip('"'), text) for number, (title, _, text) in enumerate(contents)]
    theirs = SentenceTransformer(str(packaged_minilm()), device="cpu")
    passages = theirs.encode([f"{document.title} {document.text}" for document in documents])
    np.testing.assert_allclose(minilm.encode_passages(documents), passages, atol=1e-5)
    questions = sentences(50)
    np.testing.assert_allclose(minilm.encode_queries(questions), theirs.encode(questions), atol=1e-5)


def test_a_query_gets_the_same_vector_alone_and_in_a_batch(minilm: Encoder) -> None:
    queries = sentences(64)
    together = minilm.encode_queries(queries)
    alone = [minilm.encode_queries([query])[0] for query in queries]
    np.testing.assert_array_equal(together, alone)


def test_long_queries_do_not_depend_on_each_other_either(tmp_path: Path) -> None:
    encoder = new_encoder(str(tiny_models.save_bert(tmp_path / "e5-small")), device="cpu", query_prefix="")
    queries = ["fox " * words for words in range(56, 68)]
    alone = [encoder.encode_queries([query])[0] for query in queries]
    np.testing.assert_array_equal(encoder.encode_queries(queries), alone)


def test_the_threads_of_the_process_are_left_as_they_were(minilm: Encoder) -> None:
    threads = torch.get_num_threads()
    minilm.encode_queries(sentences(64))
    assert torch.get_num_threads() == threads


def test_several_threads_may_encode_at_once(minilm: Encoder) -> None:
    queries = sentences(8)
    expected = minilm.encode_queries(queries)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(minilm.encode_queries, [queries] * 8):
            np.testing.assert_array_equal(found, expected)


def test_no_texts_give_no_vectors(minilm: Encoder) -> None:
    assert minilm.encode_queries([]).shape == minilm.encode_passages([]).shape == (0, 384)


@pytest.mark.parametrize("query", ["", " \n", "\x00", "\U0001f600" * 50, "fox " * 5000, "[MASK] [SEP] [CLS]"])
def test_any_text_gets_a_vector_of_length_one(minilm: Encoder, query: str) -> None:
    assert np.linalg.norm(minilm.encode_queries([query])[0]) == pytest.approx(1, abs=1e-6)


def test_batches_hold_every_text_once() -> None:
    lengths = [3, 17, 3, 64, 20, 3]
    assert list(by_length(lengths, rows=4)) == [([3, 4, 1, 0], 64), ([2, 5], 3)]
    in_fours = [([0, 2], 4), ([5], 4), ([1], 20), ([4], 24), ([3], 64)]
    assert list(apart(lengths, rows=2, multiple=4, longest=64)) == in_fours
    assert list(apart([15, 16, 13, 14], rows=8, multiple=4, longest=17)) == [([1], 16), ([0, 2, 3], 16)]


def test_batches_filled_up_to_one_number_of_rows_give_the_same_vectors(tmp_path: Path) -> None:
    folder = str(tiny_models.save_bert(tmp_path / "e5-small"))
    spec = resolve_spec(folder, {})
    tower = Tower(Checkpoint.find(folder), spec, "cpu")
    queries = sentences(10)
    rows = tower.tokenize([spec.query(query) for query in queries])
    batches = apart([len(row) for row in rows], rows=8, multiple=16, longest=64)
    filled = tower.vectors(rows, batches, fill=8)
    np.testing.assert_allclose(filled, new_encoder(folder, device="cpu").encode_queries(queries), atol=1e-6)


def test_a_spec_makes_the_same_encoder_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_models.save_bert(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    options = {"pooling": "last", "query_prefix": "q: ", "passage_form": "{title}: {text}", "max_length": 12}
    encoder = new_encoder("model", device="cpu", **options, normalize=False, append_eos=None)
    spec = json.loads(json.dumps(encoder.spec))
    assert spec == {
        "model": str(folder),
        "revision": spec["revision"],
        "query_model": "",
        "query_revision": "",
        "pooling": "last",
        "max_length": 12,
        "normalize": False,
        "query_prefix": "q: ",
        "passage_prefix": "",
        "passage_form": "{title}: {text}",
        "append_eos": False,
        "dtype": "auto",
    }
    monkeypatch.chdir("/")
    texts = sentences(5)
    np.testing.assert_array_equal(load_encoder(spec, device="cpu").encode_queries(texts), encoder.encode_queries(texts))


def test_a_folder_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_models.save_bert(tmp_path / "e5-small")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert new_encoder("~/e5-small", device="cpu").spec["model"] == str(tmp_path / "e5-small")


def test_a_model_that_was_trained_further_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "e5-small")
    spec = new_encoder(str(folder), device="cpu").spec
    network = transformers.AutoModel.from_pretrained(folder)
    network.encoder.layer[1].output.dense.bias.data += 0.01
    network.save_pretrained(folder)
    with pytest.raises(BadModel, match="is no longer the model it was: expected sha256:"):
        load_encoder(spec)


def write_modules(folder: Path, pooling: dict[str, Any], *kinds: str) -> None:
    modules = [
        {"idx": n, "path": f"{n}_{kind}", "type": f"sentence_transformers.{kind}"} for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def test_the_files_of_sentence_transformers_win_over_the_name(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "contriever")
    write_modules(folder, {"pooling_mode_cls_token": True}, "Transformer", "Pooling", "Normalize")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    prompts = {"query": "search_query: ", "document": ""}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    spec = new_encoder(str(folder), device="cpu").spec
    assert (spec["pooling"], spec["normalize"], spec["max_length"]) == ("cls", True, 32)
    assert (spec["query_prefix"], spec["passage_prefix"]) == ("search_query: ", "")
    assert new_encoder(str(folder), device="cpu", pooling="mean", max_length=16).spec["pooling"] == "mean"


def test_pooling_as_it_is_written_now_and_vectors_for_the_inner_product(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "model")
    write_modules(folder, {"pooling_mode": "lasttoken", "include_prompt": True}, "Transformer", "Pooling")
    (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "dot"}')
    spec = new_encoder(str(folder), device="cpu").spec
    assert (spec["pooling"], spec["normalize"]) == ("last", False)


@pytest.mark.parametrize(
    ("pooling", "kinds", "sentence"),
    [
        ({"pooling_mode": "max"}, ("Transformer", "Pooling"), "the pooling in 1_Pooling/config.json is not supported"),
        ({"pooling_mode": ["cls", "mean"]}, ("Transformer", "Pooling"), "only mean, cls and lasttoken are"),
        ({"pooling_mode": "mean", "include_prompt": False}, ("Transformer", "Pooling"), "is not supported"),
        ({"pooling_mode": "mean"}, ("Transformer", "Pooling", "Dense"), 'has a part of type "Dense"'),
    ],
)
def test_parts_that_are_not_supported_are_refused(
    tmp_path: Path, pooling: dict[str, Any], kinds: tuple[str, ...], sentence: str
) -> None:
    folder = tiny_models.save_bert(tmp_path / "model")
    write_modules(folder, pooling, *kinds)
    with pytest.raises(BadModel, match=sentence):
        new_encoder(str(folder))


def test_a_model_of_the_hub_is_kept_with_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--intfloat--e5-small"
    commit = "0123456789abcdef0123456789abcdef01234567"
    tiny_models.save_bert(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    encoder = new_encoder("intfloat/e5-small", device="cpu")
    assert (encoder.spec["model"], encoder.spec["revision"]) == ("intfloat/e5-small", commit)
    assert encoder.spec["passage_prefix"] == "passage: "
    np.testing.assert_array_equal(
        load_encoder(encoder.spec, device="cpu").encode_queries(["fox"]), encoder.encode_queries(["fox"])
    )
    with pytest.raises(BadModel, match="The model intfloat/e5-large cannot be loaded"):
        new_encoder("intfloat/e5-large")


@pytest.mark.parametrize("model", ["/nowhere/e5-base", "./nowhere", "~/nowhere/at/all", "a b"])
def test_a_missing_folder_is_one_sentence(model: str) -> None:
    with pytest.raises(BadModel, match=f"The model folder {model} does not exist; give a folder or the name"):
        new_encoder(model)


def test_a_model_whose_pooling_nothing_tells_needs_the_option(tmp_path: Path) -> None:
    folder = str(tiny_models.save_bert(tmp_path / "mine"))
    with pytest.raises(BadModel, match=r"its pooling is not known .*; add --pooling mean, cls, last or pooler"):
        new_encoder(folder)
    assert new_encoder(folder, pooling="cls", device="cpu").spec["normalize"] is True


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pooling": "max"}, 'pooling must be one of mean, cls, last, pooler, found "max"'),
        ({"dtype": "int8"}, 'dtype must be one of auto, float32, float16, bfloat16, found "int8"'),
        ({"max_length": 65}, "reads at most 64 tokens; max_length 65 is too long"),
        ({"max_length": 1}, "max_length must be at least 2 tokens, found 1"),
        ({"passage_form": "{title} {body}"}, "may hold only {title} and {text}"),
        ({"passage_form": "{title}"}, "must hold {text}"),
    ],
)
def test_options_that_are_not_accepted(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    folder = tiny_models.save_bert(tmp_path / "e5-small")
    with pytest.raises(BadRequest, match=sentence):
        new_encoder(str(folder), **options)


def test_no_such_device() -> None:
    with pytest.raises(BadModel, match='"tpu9" is no device; give auto, cpu, cuda or cuda:N'):
        new_encoder("minilm", device="tpu9")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pooling": None}, 'field "pooling" must be of type str'),
        ({"max_length": True}, 'field "max_length" must be of type int'),
        ({"colour": "red"}, 'does not know the encoder\'s field "colour"'),
        ({"model": "/gone"}, "The model folder /gone does not exist"),
    ],
)
def test_a_broken_spec_is_one_sentence(minilm: Encoder, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadModel, match=sentence):
        load_encoder(minilm.spec | change)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "e5-small", transformers.DPRContextEncoder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"], "model_type": "bert"}))
    with pytest.raises(BadModel, match=r"is no BertModel: .* weights are missing"):
        new_encoder(str(folder))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.save_bert(tmp_path / "e5-small")
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModel, match=r"cannot be loaded .*no file named model\.safetensors"):
        new_encoder(str(folder))


def test_half_precision_can_be_had_on_a_cpu_by_asking(tmp_path: Path) -> None:
    folder = str(tiny_models.save_bert(tmp_path / "e5-small"))
    whole, half = (new_encoder(folder, device="cpu", dtype=dtype) for dtype in ("auto", "bfloat16"))
    difference = np.abs(whole.encode_queries(WORDS) - half.encode_queries(WORDS)).max()
    assert 1e-4 < difference < 0.1
