"""The SentencePiece vocabulary of the tiny models, trained on the corpus of pipeline_texts.py.

Import it after the check of the versions: it needs `transformers`.
"""

import io

import sentencepiece
from pipeline_texts import corpus
from transformers import DebertaV2Tokenizer


def train_vocabulary(size=600):
    """A SentencePiece model of the corpus, as bytes, in the layout of DeBERTa v3."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=out, model_type="unigram", vocab_size=size,
        character_coverage=1.0, normalization_rule_name="identity", num_threads=1, shuffle_input_sentence=False,
        pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3,
        unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    return out.getvalue()


def build_tokenizer(model_bytes):
    """The tokenizer class of transformers on those pieces."""
    spm = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(len(spm))]
    return DebertaV2Tokenizer(vocab=pieces, unk_id=3)
