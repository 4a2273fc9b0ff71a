"""PyTorch's side of the benchmarks: answers one request a line on stdin with one line of JSON on stdout.

    {"do": "step", "tokens": 1024, "labelled": 150}     one calibration step on duo-mini, own states: training/duo_ref.py's two passes,
                                                        the student under torch.utils.checkpoint per layer, backward to the gates
    {"do": "decode", "context": 2048}                   one greedy token over a preallocated cache of so many tokens, all heads full

Each answer holds the milliseconds of that one run and the process's peak resident bytes.
"""
import json, resource, sys, time
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

ROOT, THREADS = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, f"{ROOT}/models/duo-mini/training")
from duo_ref import Duo, clamp01, distill_loss  # noqa: E402

torch.set_num_threads(THREADS)
duo = Duo(f"{ROOT}/models/duo-mini")
SINK, RECENT = 16, 64
gates0 = torch.rand(duo.L, duo.KV, generator=torch.Generator().manual_seed(20260101)) * 0.8 + 0.1
caches = {}


def student(ids, gates):
    """duo_ref.Duo.student on its own states, each layer recomputed in the backward."""
    G = clamp01(gates).repeat_interleave(duo.H // duo.KV, 1)

    def layer(l, x, g):
        q, k, v = duo.qkv(l, x)
        g = g[None, :, None, None]
        return duo.after(l, x, (1 - g) * duo.stream(q, k, v, SINK, RECENT) + g * duo.full(q, k, v))

    x = duo.embed(ids)
    for l in range(duo.L):
        x = checkpoint(layer, l, x, G[l], use_reentrant=False)
    return duo.rms(x, duo.w["model.norm.weight"])


def step(tokens, labelled):
    ids = (torch.arange(tokens) * 7919 % 1200 + 3)[None]
    label = torch.zeros(1, tokens)
    label[:, -labelled:] = 1
    gates = gates0.clone().requires_grad_()
    start = time.perf_counter()
    h, _, _ = duo.teacher(ids)
    loss = distill_loss(h, student(ids, gates), label) + 0.05 * gates.abs().mean()
    loss.backward()
    float(gates.grad.sum())
    return time.perf_counter() - start


@torch.no_grad()
def decode(context):
    if context not in caches:
        caches[context] = [torch.randn(2, 1, duo.KV, context, duo.D) for _ in range(duo.L)]
    n, g, x = context - 1, duo.H // duo.KV, duo.embed(torch.tensor([[11]]))
    start = time.perf_counter()
    cos, sin = duo.cos[n : n + 1], duo.sin[n : n + 1]
    rope = lambda t: t * cos + torch.cat((-t[..., duo.D // 2 :], t[..., : duo.D // 2]), -1) * sin
    for l in range(duo.L):
        p = f"model.layers.{l}."
        h = duo.rms(x, duo.w[p + "input_layernorm.weight"])
        proj = lambda name, heads: F.linear(h, duo.w[p + f"self_attn.{name}_proj.weight"]).view(1, 1, heads, duo.D).transpose(1, 2)
        k, v = caches[context][l]
        k[:, :, n:], v[:, :, n:] = rope(proj("k", duo.KV)), proj("v", duo.KV)
        x = duo.after(l, x, F.scaled_dot_product_attention(rope(proj("q", duo.H)), k, v, enable_gqa=True))
    int(duo.head(duo.rms(x, duo.w["model.norm.weight"]))[0, -1].argmax())
    return time.perf_counter() - start


for line in sys.stdin:
    request = json.loads(line)
    seconds = step(request["tokens"], request["labelled"]) if request["do"] == "step" else decode(request["context"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": seconds * 1000, "peakBytes": peak, "torch": torch.__version__}), flush=True)
