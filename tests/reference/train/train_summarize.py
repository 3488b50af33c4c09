"""Trains a small encoder-decoder from nothing on SciTLDR and writes models/summarize.

    python train_summarize.py [--steps 300 800 1500] [--output DIR]
    python train_summarize.py --resume --steps 300 800 3100 --scramble 0.5

Two thousand abstracts teach no model to write, but they do teach one to pick: it learns to find the sentence of an abstract
that says most of what its summary says, and to write that sentence again. Copying comes first, of random pieces; the
cross-attention is told where each piece lies (guided alignment).

A checkpoint is written to $DEBERTA_TRAIN_DIR/summarize every few minutes; `--resume` goes on from there, and as every step
draws its examples and its dropout by its own number, to the same end. The second command goes on from the end of the first,
with a rate that is high again and examples that cannot be known by heart: that is how models/summarize was made.
"""

import argparse
import json
import random
import time
from pathlib import Path

import fast_attention
import torch
from torch import nn
from transformers import DebertaV2Model, EncoderDecoderConfig, EncoderDecoderModel, GenerationConfig, GPT2Config, GPT2LMHeadModel

from common import (
    CLS,
    MODELS,
    PAD,
    SEP,
    WORK,
    Average,
    Log,
    Vocabulary,
    architecture,
    optimiser,
    pad,
    round_to_f16,
    save_tensors,
    seed_everything,
    train_pieces,
    write_tokenizer_files,
)
from summarize_data import Examples, example, read_abstracts
from summarize_scores import copied, rouge, show, summaries

SEED = 20240507
PIECES = 4000
WIDTH, HEADS = 128, 4
SPREAD = 0.08  # of the first weights: the usual 0.02 is for wider models, and keeps attention flat for long
FOLDER = WORK / "summarize"


def train_vocabulary(path):
    """Unigram pieces of the training abstracts and their summaries."""
    lines = [line for sentences, references, _ in read_abstracts("train") for line in sentences + references]
    train_pieces(path, PIECES, threads=1, sentence_iterator=iter(lines))


def build(vocabulary, dropout):
    """Both parts have one word table while they are trained; the files hold it twice."""
    encoder = architecture(
        vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=HEADS,
        intermediate_size=3 * WIDTH,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        pooler_hidden_size=WIDTH,
        initializer_range=SPREAD,
    )
    decoder = GPT2Config(
        vocab_size=vocabulary.rows,
        n_positions=64,
        n_embd=WIDTH,
        n_layer=2,
        n_head=HEADS,
        n_inner=3 * WIDTH,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=0.0,
        initializer_range=SPREAD,
        bos_token_id=CLS,
        eos_token_id=SEP,
        pad_token_id=PAD,
        is_decoder=True,
        add_cross_attention=True,
    )
    # Also one at which buckets hold several distances.
    fast_attention.check(encoder, (40, 192))
    fast_attention.install()
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = CLS, SEP, PAD
    # Plain attention: the loss looks at the weights of cross-attention.
    model = EncoderDecoderModel(config, DebertaV2Model(encoder), GPT2LMHeadModel._from_config(decoder, attn_implementation="eager"))
    model.encoder.embeddings.word_embeddings.weight = model.decoder.transformer.wte.weight
    begin_near_copying(model)
    model.generation_config = generation()
    return model


@torch.no_grad()
def begin_near_copying(model):
    """First weights with which little is missing to copying.

    Two heads of the first layer look at the token before and at the one before that (their queries' biases are the keys of
    those distances), so that the decoder can ask for what follows what it has written. What its last layer finds in the
    source comes through unchanged, and so is scored with the same table that the source's words are from.
    """
    encoder = model.encoder.encoder
    attention, size = encoder.layer[0].attention.self, WIDTH // HEADS
    for head, distance in enumerate((1, 2)):
        rows = slice(head * size, (head + 1) * size)
        position = encoder.LayerNorm(encoder.rel_embeddings.weight[attention.pos_ebd_size + distance])
        attention.query_proj.bias[rows] = 2.5 * attention.key_proj.weight[rows] @ position
    reading = model.decoder.transformer.h[-1].crossattention
    values = nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
    reading.c_attn.weight[:, WIDTH:] = values
    reading.c_proj.weight.copy_(values.T)


def generation():
    return GenerationConfig(
        decoder_start_token_id=CLS, bos_token_id=CLS, eos_token_id=SEP, pad_token_id=PAD, max_length=64, num_beams=1, do_sample=False
    )


class Losses:
    """Cross-entropy of the target, and how far cross-attention is from where each token lies in the source."""

    def __init__(self, model, smoothing):
        self.model, self.smoothing = model, smoothing
        self.weights = []
        for block in model.decoder.transformer.h:
            block.crossattention.register_forward_hook(lambda module, inputs, outputs: self.weights.append(outputs[1]))

    def __call__(self, examples):
        source = pad([e.source for e in examples])
        target = pad([e.target for e in examples], -100)
        places = pad([e.places for e in examples], -1)
        written = pad([[CLS] + e.target[:-1] for e in examples])
        self.weights.clear()
        mask = (source != 0).long()
        decoder = self.model.decoder
        real = target != -100
        # Half-precision products: a third less time on processors that have them.
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.model.encoder(source, attention_mask=mask).last_hidden_state
            states = decoder.transformer(written, encoder_hidden_states=hidden, encoder_attention_mask=mask, use_cache=False)[0]
            logits = decoder.lm_head(states[real]).float()
        loss = nn.functional.cross_entropy(logits, target[real], label_smoothing=self.smoothing)
        known = places >= 0
        # The last layer's heads together: [B, H, L, S] -> [B, L, S].
        found = self.weights[-1].float().mean(1)[known].gather(1, places[known][:, None])
        guide = -(found + 1e-6).log().mean()
        right = (logits.argmax(-1) == target[real]).float().mean()
        return loss, guide, right


def rate_at(step, total, warmup=150):
    """Of the peak: a line up, level, and in the last two fifths a line down."""
    return min(1.0, step / warmup, max(0.0, (total - step) / (0.4 * total)))


def batch_of(examples, step, args, rng):
    """Examples of the stage that the step lies in, until they fill the batch."""
    noise, mixture, _ = args.steps
    out, tokens = [], 0
    while tokens < args.tokens:
        scrambled = args.scramble > 0 and rng.random() < args.scramble
        if step < noise or (step < noise + mixture and rng.random() < 0.1):
            sentences, chosen, limit = examples.noise(rng)
        elif scrambled and rng.random() < 0.3:
            sentences, chosen, limit = examples.lone(rng)
        elif step < noise + mixture or rng.random() < 0.2:
            sentences, chosen, limit = examples.mixture(rng)
        else:
            sentences, chosen, limit = examples.abstract(rng, rng.uniform(0.3, 1.0))
        item = example(examples.scrambled(sentences, rng) if scrambled else sentences, chosen, limit)
        out.append(item)
        tokens += len(item.source) + 2 * len(item.target)
    # Two batches of like lengths cost less padding than one.
    out.sort(key=lambda e: len(e.source))
    return [part for part in (out[: len(out) // 2], out[len(out) // 2 :]) if part]


def save(model, vocabulary, folder):
    write_tokenizer_files(vocabulary, folder)
    save_tensors(model, folder, tied={"decoder.lm_head.weight"})
    config = model.config.to_dict()
    for part in (config, config["encoder"], config["decoder"]):
        for key in ("_name_or_path", "transformers_version", "torch_dtype"):
            part.pop(key, None)
        part["dtype"] = "float16"
    config["architectures"] = [type(model).__name__]
    config["encoder"]["pos_att_type"] = "p2c|c2p"
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    options = {k: v for k, v in generation().to_diff_dict().items() if k != "transformers_version"}
    (folder / "generation_config.json").write_text(json.dumps(options, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, nargs=3, default=(300, 800, 1500), help="of random pieces, of mixtures, of abstracts")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--tokens", type=int, default=2000, help="per step, the target's counted twice")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--smoothing", type=float, default=0.05)
    parser.add_argument("--guide", type=float, default=0.5, help="weight of the loss of cross-attention")
    parser.add_argument("--every", type=int, default=500, help="steps between scores on a part of the dev set")
    parser.add_argument("--scramble", type=float, default=0.0, help="share of the examples in which some pieces are replaced")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--output", type=Path, default=MODELS / "summarize")
    args = parser.parse_args()

    seed_everything(SEED)
    log = Log()
    if not (FOLDER / "spm.model").exists():
        train_vocabulary(FOLDER / "spm.model")
    vocabulary = Vocabulary(FOLDER / "spm.model")
    examples, dev = Examples(vocabulary, read_abstracts("train")), read_abstracts("dev")
    model = build(vocabulary, args.dropout)
    log("parameters", sum(p.numel() for p in model.parameters()))
    log("dev, first sentence:", show(rouge([sentences[0] for sentences, _, _ in dev], dev)))
    losses = Losses(model, args.smoothing)
    optim = optimiser(model, args.rate, 0.01, fused=True)
    average = Average(model, 0.998)
    checkpoint, begin, total = FOLDER / "checkpoint.pt", 0, sum(args.steps)
    if args.resume and checkpoint.exists():
        held = torch.load(checkpoint)
        model.load_state_dict(held["model"])
        optim.load_state_dict(held["optim"])
        average.state, average.steps, begin = held["average"], held["average_steps"], held["step"]
        log("goes on at step", begin)

    def smoothed():
        out = build(vocabulary, 0.0)
        out.load_state_dict(average.state)
        return round_to_f16(out)

    sums, saved = [0.0] * 4, time.time()
    for step in range(begin, total):
        rng = random.Random(f"{SEED} {step}")
        torch.manual_seed(SEED + step)
        model.train()
        parts = batch_of(examples, step, args, rng)
        for part in parts:
            loss, guide, right = losses(part)
            ((loss + args.guide * guide) / len(parts)).backward()
            for k, value in enumerate((loss, guide, right)):
                sums[k] += value.item() / len(parts)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optim.param_groups:
            group["lr"] = args.rate * rate_at(step + 1, total)
        optim.step()
        optim.zero_grad(set_to_none=True)
        average.update(model)
        sums[3] += 1
        done = step + 1
        if done % 50 == 0:
            log(f"step {done}/{total} loss {sums[0] / sums[3]:.3f} guide {sums[1] / sums[3]:.3f} right {sums[2] / sums[3]:.3f}")
            sums = [0.0] * 4
        if time.time() - saved > 240 or done == total:
            held = {"model": model.state_dict(), "optim": optim.state_dict(), "average": average.state, "average_steps": average.steps, "step": done}
            torch.save(held, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            saved = time.time()
        if done % args.every == 0 and done != total:
            part = dev[:100]
            found = summaries(smoothed(), vocabulary, part)
            log(f"step {done}: first 100 of dev {show(rouge(found, part))}, copied whole {copied(found, part):.2f}")
            for summary in found[:3]:
                log("   ", summary)

    model = smoothed()
    save(model, vocabulary, args.output)
    found = summaries(model, vocabulary, dev)
    log(f"dev: {show(rouge(found, dev))}, copied whole {copied(found, dev):.2f}")


if __name__ == "__main__":
    main()
