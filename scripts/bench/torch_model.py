"""The same work as calibration-step.ts on any model, by transformers in float32, as one line of JSON.

    python torch_model.py prefill|decode --model FOLDER|FILE.gguf [--tokens 1024] [--repeats 3] [--threads 2]
"""
import argparse
import json
import platform
import resource
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache

from torch_step import WARM_UP, timed, token_ids


def load(path):
    path = Path(path)
    where = dict(pretrained_model_name_or_path=path.parent, gguf_file=path.name) if path.is_file() else dict(pretrained_model_name_or_path=path)
    return AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation="sdpa").eval()


@torch.inference_mode()
def feed(model, ids, cache):
    return model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]


def measure_prefill(model, ids, args):
    state = {}

    def prompt():
        state["logits"] = feed(model, ids, DynamicCache())

    return {"times": {"prompt": timed(args.repeats, prompt)}, "check": state["logits"].abs().sum(dtype=torch.float64).item()}


def measure_decode(model, ids, args):
    cache = DynamicCache()
    state = {"logits": feed(model, ids, cache), "check": 0}

    def token():
        chosen = state["logits"].argmax(-1, keepdim=True)
        state["logits"] = feed(model, chosen, cache)
        state["check"] += chosen.item()

    return {"times": {"token": timed(args.repeats, token)}, "check": state["check"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("prefill", "decode"))
    parser.add_argument("--model", required=True)
    for name, default in (("tokens", 1024), ("repeats", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args.model)
    ids = token_ids(args.tokens, model.config.vocab_size)
    result = (measure_prefill if args.what == "prefill" else measure_decode)(model, ids, args)
    result["peakRssMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["description"] = f"transformers {transformers.__version__}, PyTorch {torch.__version__}, {args.threads} threads, Python {platform.python_version()}"
    print(json.dumps(result))


main()
