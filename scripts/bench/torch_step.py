"""The same work as calibration-step.ts in PyTorch, as one line of JSON.

    python torch_step.py step|decode|attention [--tokens 1024] [--labelled 150] [--repeats 10] [--threads 2]

The step is the student of models/duo-mini/training/duo_ref.py with torch.utils.checkpoint per layer, on its own states.
"""
import argparse
import json
import platform
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

MODEL = Path(__file__).resolve().parents[2] / "models" / "duo-mini"
sys.path.insert(0, str(MODEL / "training"))
from duo_ref import Duo, clamp01, distill_loss  # noqa: E402

SINK, RECENT, WARM_UP = 16, 64, 2


def seeded(seed):
    """Numbers in [0, 1), the same as in calibration-step.ts."""
    state = seed
    while True:
        state = (state * 1664525 + 1013904223) % 2**32
        yield state / 2**32


def token_ids(count, vocab):
    random = seeded(1)
    return torch.tensor([[3 + int(next(random) * (vocab - 3)) for _ in range(count)]])


def timed(repeats, body):
    for _ in range(WARM_UP):
        body()
    times = {"wallMs": [], "processorMs": []}
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        body()
        times["wallMs"].append((time.perf_counter() - wall) * 1e3)
        times["processorMs"].append((time.process_time() - processor) * 1e3)
    return times


def measure_step(duo, args):
    ids = token_ids(args.tokens, duo.w["model.embed_tokens.weight"].shape[0])
    random = seeded(2)
    gates = torch.tensor([[0.2 + 0.6 * next(random) for _ in range(duo.KV)] for _ in range(duo.L)], requires_grad=True)
    label = torch.zeros(1, args.tokens)
    label[0, -args.labelled :] = 1
    loss = [0.0]

    def layer(x, l, per_head):
        q, k, v = duo.qkv(l, x)
        g = per_head[l][None, :, None, None]
        return duo.after(l, x, (1 - g) * duo.stream(q, k, v, SINK, RECENT) + g * duo.full(q, k, v))

    def step():
        teacher, _, _ = duo.teacher(ids)
        x, per_head = duo.embed(ids), clamp01(gates).repeat_interleave(duo.H // duo.KV, 1)
        for l in range(duo.L):
            x = checkpoint(layer, x, l, per_head, use_reentrant=False)
        distill = distill_loss(teacher, duo.rms(x, duo.w["model.norm.weight"]), label)
        gates.grad = None
        distill.backward()
        loss[0] = distill.item()

    return {"times": {"step": timed(args.repeats, step)}, "check": loss[0]}


@torch.inference_mode()
def measure_decode(duo, args):
    ids = token_ids(args.tokens, duo.w["model.embed_tokens.weight"].shape[0])
    total = args.tokens + args.repeats + WARM_UP
    caches = [(torch.zeros(1, duo.KV, total, duo.D), torch.zeros(1, duo.KV, total, duo.D)) for _ in range(duo.L)]

    def rotate(x, start):
        n = x.shape[-2]
        a, b = x.chunk(2, -1)
        return x * duo.cos[start : start + n] + torch.cat((-b, a), -1) * duo.sin[start : start + n]

    def feed(tokens, start):
        x, end = duo.embed(tokens), start + tokens.shape[1]
        for l, (keys, values) in enumerate(caches):
            h = duo.rms(x, duo.w[f"model.layers.{l}.input_layernorm.weight"])
            q, k, v = (
                F.linear(h, duo.w[f"model.layers.{l}.self_attn.{name}_proj.weight"]).view(1, -1, heads, duo.D).transpose(1, 2)
                for name, heads in (("q", duo.H), ("k", duo.KV), ("v", duo.KV))
            )
            keys[:, :, start:end], values[:, :, start:end] = rotate(k, start), v
            causal = tokens.shape[1] > 1
            x = duo.after(l, x, F.scaled_dot_product_attention(rotate(q, start), keys[:, :, :end], values[:, :, :end], is_causal=causal, enable_gqa=True))
        return duo.head(duo.rms(x[:, -1:], duo.w["model.norm.weight"]))

    state = {"logits": feed(ids, 0), "at": args.tokens, "check": 0}

    def token():
        chosen = state["logits"].argmax(-1)
        state["logits"] = feed(chosen, state["at"])
        state["at"] += 1
        state["check"] += chosen.item()

    return {"times": {"token": timed(args.repeats, token)}, "check": state["check"]}


def measure_attention(args):
    heads, kv_heads, head_dim = 8, 4, 64
    random = seeded(3)
    make = lambda count: torch.tensor([2 * next(random) - 1 for _ in range(args.tokens * count * head_dim)]).view(1, args.tokens, count, head_dim).transpose(1, 2)
    q, k, v, d_out = (make(count).detach().requires_grad_() for count in (heads, kv_heads, kv_heads, heads))
    attend = lambda: F.scaled_dot_product_attention(q, k.repeat_interleave(heads // kv_heads, 1), v.repeat_interleave(heads // kv_heads, 1), is_causal=True)
    with torch.no_grad():
        forward = timed(args.repeats, attend)
    out = attend()
    backward = timed(args.repeats, lambda: torch.autograd.grad(out, (q, k, v), d_out, retain_graph=True))
    _, dk, _ = torch.autograd.grad(out, (q, k, v), d_out, retain_graph=True)
    return {"times": {"forward": forward, "backward": backward}, "check": dk.abs().sum(dtype=torch.float64).item()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("step", "decode", "attention"))
    for name, default in (("tokens", 1024), ("labelled", 150), ("repeats", 10), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "attention":
        result = measure_attention(args)
    else:
        duo = Duo(str(MODEL))
        result = measure_step(duo, args) if args.what == "step" else measure_decode(duo, args)
    result["peakRssMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["description"] = f"PyTorch {torch.__version__}, {args.threads} threads, Python {platform.python_version()}"
    print(json.dumps(result))


if __name__ == "__main__":
    main()
