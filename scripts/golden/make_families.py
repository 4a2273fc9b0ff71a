"""Makes test/golden/<case>: tiny models of the families that no other fixture covers, and what transformers computes from them.

    python scripts/golden/make_families.py test/golden        (torch, transformers 5, safetensors)

Weights are seeded and random; a model means nothing as a language model. Files and tensors are those that `duo verify`
knows as a forward dump (src/verify/forward-dump.ts). Computed in float32 with eager attention.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

TOKENS, PROMPT, GREEDY, FIRST_LAST = 160, 120, 24, 4

SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=97, max_position_embeddings=512, pad_token_id=None, bos_token_id=1, eos_token_id=2)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)

CASES = {
    "llama-yarn": ("llama", dict(head_dim=16, rope_parameters=YARN)),
    "llama-yarn-scales": ("llama", dict(head_dim=16, rope_parameters=dict(
        YARN, beta_fast=16, beta_slow=2, truncate=False, mscale=0.8, mscale_all_dim=0.5))),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True)),
    "qwen2-mixed": ("qwen2", dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=24, max_window_layers=1)),
    "qwen3-bias": ("qwen3", dict(head_dim=16, attention_bias=True, layer_types=["sliding_attention", "full_attention"],
                                 use_sliding_window=True, sliding_window=40)),
    "phi3": ("phi3", dict(sliding_window=32)),
    "olmo2": ("olmo2", dict()),
    "smollm3": ("smollm3", dict(num_hidden_layers=4, no_rope_layer_interval=2)),
}


def make_model(kind, changes, seed):
    config = CONFIG_MAPPING[kind](**{**SIZES, **changes}, attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                weight.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif "embed" in name or "lm_head" in name:
                weight.copy_(0.3 * noise)
            else:
                weight.copy_(0.2 * noise)
    return model


def forward(model, ids):
    layers = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: layers.append(out[0] if isinstance(out, tuple) else out))
             for layer in model.model.layers]
    embedded = model.model.embed_tokens(ids)
    out = model(ids, use_cache=True, output_hidden_states=False)
    for hook in hooks:
        hook.remove()
    final = model.model.norm(layers[-1])
    return out, final, torch.stack([embedded[0, -1]] + [layer[0, -1] for layer in layers])


def keys_values(model, ids):
    """Keys after rope and values of every token: a cache of a windowed layer would have dropped some."""
    from transformers import DynamicCache
    cache = DynamicCache()
    model(ids, past_key_values=cache, use_cache=True)
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def greedy(model, ids):
    ids, rows = ids.clone(), []
    for _ in range(GREEDY):
        logits = model(ids, use_cache=False).logits[0, -1]
        rows.append(logits)
        ids = torch.cat([ids, logits.argmax().view(1, 1)], 1)
    return ids[0, PROMPT:], torch.stack(rows)


def make_case(folder, kind, changes, seed):
    model = make_model(kind, changes, seed)
    ids = torch.randint(3, SIZES["vocab_size"], (1, TOKENS), generator=torch.Generator().manual_seed(seed * 1000))
    with torch.no_grad():
        out, final, last = forward(model, ids)
        tensors = {"input_ids": ids.int(), "logits": out.logits, "final_hidden": final, "layer_hidden_last": last}
        for layer, (k, v) in enumerate(keys_values(model, ids)):
            for name, x in (("k", k), ("v", v)):
                tensors[f"{name}.{layer}.first"] = x[:, :FIRST_LAST]
                tensors[f"{name}.{layer}.last"] = x[:, -FIRST_LAST:]
        tensors["greedy.ids"], tensors["greedy.logits"] = greedy(model, ids[:, :PROMPT])
        tensors["greedy.ids"] = tensors["greedy.ids"].int()
    top = tensors["greedy.logits"].topk(2).values
    model.save_pretrained(folder, safe_serialization=True)
    save_file({name: x.contiguous().clone() for name, x in tensors.items()}, folder / "golden.safetensors")
    case = dict(case=folder.name, model_type=kind, weight_seed=seed, input_seed=seed * 1000,
                logits_std=out.logits.std().item(), greedy_min_margin=(top[:, 0] - top[:, 1]).min().item(),
                versions=dict(torch=torch.__version__, transformers=transformers.__version__))
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")
    print(folder.name, case["logits_std"], case["greedy_min_margin"])


# Keys of rope_parameters and head sizes whose frequencies are kept beside the models.
YARN_CASES = [
    (dict(factor=4.0, original_max_position_embeddings=32768, rope_theta=1e6), 128),
    (dict(factor=8.0, original_max_position_embeddings=4096, beta_fast=16, beta_slow=2, truncate=False, rope_theta=1e4), 64),
    (dict(factor=40.0, original_max_position_embeddings=4096, mscale=0.8, mscale_all_dim=0.5, rope_theta=1e4), 64),
    (dict(factor=2.0, original_max_position_embeddings=65536, attention_factor=1.25, rope_theta=5e6), 128),
]


def make_yarn(path):
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    cases = []
    for keys, head_dim in YARN_CASES:
        parameters = dict(keys, rope_type="yarn")
        config = CONFIG_MAPPING["llama"](hidden_size=2 * head_dim, num_attention_heads=2, rope_parameters=dict(parameters))
        frequencies, attention_factor = ROPE_INIT_FUNCTIONS["yarn"](config, "cpu")
        cases.append(dict(rope_parameters=parameters, head_dim=head_dim, attention_factor=attention_factor,
                          frequencies=frequencies.tolist()))
    path.write_text(json.dumps(cases) + "\n")


def main():
    root = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for seed, (name, (kind, changes)) in enumerate(CASES.items(), start=321):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        make_case(folder, kind, changes, seed)
    make_yarn(root / "yarn.json")


main()
