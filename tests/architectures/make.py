#!/usr/bin/env python3
"""make.py -- what is beside it: one small JSON for each architecture, from the real model classes.

    python tests/architectures/make.py [NAME ...]        (with torch, transformers and diffusers)

Each model is built with reduced sizes and saved by its own library; NAME.json has the config.json that was
written, byte for byte, and the names, shapes and types of the tensors in the file:

    "tensors": {"model.layers.*.input_layernorm.weight": ["F32", [16], "0-3"], ...}

where * stands for each of the numbers. tests/architectures.py makes checkpoints of them.
SPDX-License-Identifier: Apache-2.0"""
import json, os, re, sys, tempfile, warnings

warnings.filterwarnings("ignore")
os.environ.update(TQDM_DISABLE="1", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
HERE = os.path.dirname(os.path.abspath(__file__))

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402

HID = dict(hidden_size=16, intermediate_size=24, num_attention_heads=2, vocab_size=40)
GQA = dict(HID, num_hidden_layers=4, num_key_value_heads=1, head_dim=8, pad_token_id=0, bos_token_id=1, eos_token_id=2)
SEQ = dict(vocab_size=40, d_model=16, encoder_layers=3, decoder_layers=4, encoder_attention_heads=2, decoder_attention_heads=2,
           encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
           decoder_start_token_id=1)
MOE = dict(GQA, num_hidden_layers=3, moe_intermediate_size=8, num_experts_per_tok=1)
VIT = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=8, patch_size=4)
QVIT = dict(depth=3, num_heads=2, patch_size=4, spatial_merge_size=2, temporal_patch_size=2, in_channels=3)
ROPE3 = {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
MLA = dict(HID, num_hidden_layers=3, num_key_value_heads=2, kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, v_head_dim=8,
           qk_nope_head_dim=4, n_routed_experts=2, num_experts_per_tok=1, n_group=1, topk_group=1, moe_intermediate_size=8,
           n_shared_experts=1, first_k_dense_replace=1)


def llava():
    c = transformers
    return c.LlavaConfig(vision_config=c.CLIPVisionConfig(**VIT, projection_dim=16).to_dict(),
                         text_config=c.LlamaConfig(**GQA).to_dict(), image_token_index=39)


def gemma3(**more):
    return dict(GQA, layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"], **more)


# name: (model class, config or its arguments, by which config class). The config class is <model class>'s own unless given.
MODELS = {
    "llama": ("LlamaForCausalLM", GQA), "mistral": ("MistralForCausalLM", GQA), "qwen2": ("Qwen2ForCausalLM", GQA),
    "qwen3": ("Qwen3ForCausalLM", GQA), "gemma2": ("Gemma2ForCausalLM", GQA), "phi3": ("Phi3ForCausalLM", GQA),
    "gemma3_text": ("Gemma3ForCausalLM", gemma3()),
    "gpt2": ("GPT2LMHeadModel", dict(n_embd=16, n_layer=4, n_head=2, vocab_size=40, n_positions=16)),
    "gpt_neox": ("GPTNeoXForCausalLM", dict(HID, num_hidden_layers=4)),
    "falcon": ("FalconForCausalLM", dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, vocab_size=40)),
    "opt": ("OPTForCausalLM", dict(hidden_size=16, ffn_dim=24, num_hidden_layers=4, num_attention_heads=2, vocab_size=40,
                                   word_embed_proj_dim=16, max_position_embeddings=16)),
    "bloom": ("BloomForCausalLM", dict(hidden_size=16, n_layer=4, n_head=2, vocab_size=40)),
    "cohere": ("CohereForCausalLM", GQA), "olmo2": ("Olmo2ForCausalLM", GQA), "granite": ("GraniteForCausalLM", GQA),
    "stablelm": ("StableLmForCausalLM", dict(HID, num_hidden_layers=4, num_key_value_heads=1)),
    "mamba": ("MambaForCausalLM", dict(hidden_size=16, state_size=4, num_hidden_layers=4, vocab_size=40, time_step_rank=2)),
    "rwkv": ("RwkvForCausalLM", dict(hidden_size=16, num_hidden_layers=4, vocab_size=40, attention_hidden_size=16, intermediate_size=24)),
    "jamba": ("JambaForCausalLM", dict(HID, num_hidden_layers=4, num_key_value_heads=1, num_experts=2, num_experts_per_tok=1,
                                       expert_layer_period=2, expert_layer_offset=1, attn_layer_period=4, attn_layer_offset=2,
                                       mamba_d_state=4, mamba_dt_rank=2, use_mamba_kernels=False)),
    "bamba": ("BambaForCausalLM", dict(HID, num_hidden_layers=3, num_key_value_heads=1, attn_layer_indices=[1], mamba_n_heads=4,
                                       mamba_d_head=8, mamba_d_state=4, mamba_n_groups=1)),
    "mixtral": ("MixtralForCausalLM", dict(GQA, num_hidden_layers=3, num_local_experts=2, num_experts_per_tok=1)),
    "qwen2_moe": ("Qwen2MoeForCausalLM", dict(MOE, num_experts=2, shared_expert_intermediate_size=8)),
    "qwen3_moe": ("Qwen3MoeForCausalLM", dict(MOE, num_experts=2)),
    "qwen3_next": ("Qwen3NextForCausalLM", dict(MOE, num_hidden_layers=4, num_experts=2, shared_expert_intermediate_size=8,
                                                linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=4,
                                                linear_value_head_dim=4)),
    "gpt_oss": ("GptOssForCausalLM", dict(GQA, num_local_experts=2, num_experts_per_tok=1)),
    "deepseek_v2": ("DeepseekV2ForCausalLM", MLA), "deepseek_v3": ("DeepseekV3ForCausalLM", MLA),
    "t5": ("T5ForConditionalGeneration", dict(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_decoder_layers=4, num_heads=2)),
    "bart": ("BartForConditionalGeneration", SEQ),
    "whisper": ("WhisperForConditionalGeneration", dict(SEQ, max_source_positions=8, max_target_positions=8, num_mel_bins=4,
                                                        suppress_tokens=None, begin_suppress_tokens=None)),
    "marian": ("MarianMTModel", SEQ),
    "bert": ("BertForMaskedLM", dict(HID, num_hidden_layers=3, max_position_embeddings=16)),
    "roberta": ("RobertaForSequenceClassification", dict(HID, num_hidden_layers=3, max_position_embeddings=16)),
    "distilbert": ("DistilBertForMaskedLM", dict(dim=16, n_layers=3, n_heads=2, hidden_dim=24, vocab_size=40, max_position_embeddings=16)),
    "modernbert": ("ModernBertForMaskedLM", dict(HID, num_hidden_layers=4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                                                 cls_token_id=1, sep_token_id=2)),
    "vit": ("ViTForImageClassification", VIT), "siglip": ("SiglipModel", dict(text_config=dict(HID, num_hidden_layers=4, max_position_embeddings=16),
                                                                              vision_config=VIT)),
    "wav2vec2": ("Wav2Vec2ForCTC", dict(HID, num_hidden_layers=3, conv_dim=(8, 8), conv_stride=(2, 2), conv_kernel=(4, 4),
                                        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, num_feat_extract_layers=2)),
    "clip": ("CLIPModel", dict(text_config=dict(HID, num_hidden_layers=4, max_position_embeddings=16), vision_config=VIT, projection_dim=16)),
    "llava": ("LlavaForConditionalGeneration", llava),
    "qwen2_vl": ("Qwen2VLForConditionalGeneration",
                 dict(text_config=dict(GQA, rope_scaling=ROPE3), vision_config=dict(QVIT, embed_dim=16, hidden_size=16))),
    "qwen2_5_vl": ("Qwen2_5_VLForConditionalGeneration",
                   dict(text_config=dict(GQA, rope_scaling=ROPE3),
                        vision_config=dict(QVIT, hidden_size=16, intermediate_size=24, out_hidden_size=16, fullatt_block_indexes=[1]))),
    "qwen3_vl": ("Qwen3VLForConditionalGeneration",
                 dict(text_config=dict(GQA, rope_scaling=dict(ROPE3, mrope_interleaved=True)),
                      vision_config=dict(QVIT, hidden_size=16, intermediate_size=24, out_hidden_size=16, deepstack_visual_indexes=[0, 2],
                                         num_position_embeddings=4))),
    "gemma3": ("Gemma3ForConditionalGeneration", dict(text_config=gemma3(), vision_config=VIT, mm_tokens_per_image=4)),
    "mistral3": ("Mistral3ForConditionalGeneration",
                 dict(text_config=dict(GQA, model_type="mistral"), vision_config=dict(VIT, model_type="pixtral", head_dim=8))),
    "idefics3": ("Idefics3ForConditionalGeneration",
                 dict(text_config=dict(GQA, model_type="llama"), vision_config=VIT, scale_factor=2)),
    "internvl": ("InternVLForConditionalGeneration",
                 dict(text_config=dict(GQA, model_type="qwen2"), vision_config=dict(VIT, image_size=[8, 8], patch_size=[4, 4]))),
    "qwen2_audio": ("Qwen2AudioForConditionalGeneration",
                    dict(text_config=dict(GQA, model_type="qwen2"),
                         audio_config=dict(model_type="qwen2_audio_encoder", d_model=16, encoder_layers=3, encoder_attention_heads=2,
                                           encoder_ffn_dim=24, num_mel_bins=4, max_source_positions=8))),
}
DIFFUSERS = {
    "sd_unet": ("UNet2DConditionModel", dict(block_out_channels=(4, 8), layers_per_block=1, sample_size=8, cross_attention_dim=8,
                                             attention_head_dim=2, norm_num_groups=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                                             up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))),
    "flux": ("FluxTransformer2DModel", dict(in_channels=4, num_layers=2, num_single_layers=3, attention_head_dim=8, num_attention_heads=2,
                                            joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=(2, 2, 4))),
    "sd_vae": ("AutoencoderKL", dict(block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
                                     down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)),
    "pixart": ("PixArtTransformer2DModel", dict(num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=4, sample_size=8,
                                                caption_channels=8, cross_attention_dim=16, use_additional_conditions=False)),
}
KIND = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64", torch.bool: "BOOL"}


def ranges(numbers):
    """[0, 1, 2, 5] -> "0-2,5" """
    parts = []
    for n in sorted(numbers):
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def compact(tensors):
    groups, out = {}, {}
    for name, (dtype, shape) in sorted(tensors.items()):
        m = re.search(r"(?<=\.)\d+(?=\.)", name)
        key = name if not m else name[:m.start()] + "*" + name[m.end():]
        groups.setdefault((key, dtype, tuple(shape)), []).append(int(m.group()) if m else None)
    for (key, dtype, shape), numbers in groups.items():
        value = [dtype, list(shape)] + ([] if numbers == [None] else [ranges(numbers)])
        out.setdefault(key, []).append(value)
    return {k: v[0] if len(v) == 1 else v for k, v in out.items()}


def saved(folder):
    tensors, files = {}, [f for f in os.listdir(folder) if f.endswith(".safetensors")]
    for file in files:
        with safe_open(os.path.join(folder, file), "pt") as f:
            for name in f.keys():
                t = f.get_slice(name)
                tensors[name] = (t.get_dtype(), t.get_shape())
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        return f.read(), tensors


def build(name):
    if name in DIFFUSERS:
        import diffusers
        cls, words = DIFFUSERS[name]
        return getattr(diffusers, cls)(**words), f"diffusers {diffusers.__version__}, {cls}"
    cls, words = MODELS[name]
    model_class = getattr(transformers, cls)
    config = words() if callable(words) else model_class.config_class(**words)
    dtype = torch.bfloat16 if name in ("llama", "gemma3", "qwen3_moe", "t5") else torch.float32
    torch.manual_seed(0)
    return model_class(config).to(dtype), f"transformers {transformers.__version__}, {type(config).__name__}, {cls}"


def make(name):
    model, source = build(name)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config, tensors = saved(folder)
    if os.environ.get("KEEP"):
        model.save_pretrained(os.path.join(os.environ["KEEP"], name))
    lines = [json.dumps(k) + ": " + json.dumps(v) for k, v in compact(tensors).items()]
    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as f:
        f.write('{"source": ' + json.dumps(source) + ',\n"config": ' + json.dumps(config) + ',\n"tensors": {\n' + ",\n".join(lines) + "}}\n")
    print(name, len(tensors), "tensors")


def main():
    bad = []
    for name in sys.argv[1:] or list(MODELS) + list(DIFFUSERS):
        try:
            make(name)
        except Exception as e:  # one that cannot be made must not hide the others
            bad.append(name)
            print(f"{name}: {type(e).__name__}: {str(e)[:300]}")
    print("not made:", *bad or ["none"])
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
