"""Table of config.json keys that change no size."""

from __future__ import annotations

import re
from typing import Any

_SPEAKS = re.compile(
    r"layer|head|expert|attn|attention|mamba|ssm|conv|state|window|rank|lora|latent|index|moe|mlp|ffn|sparse|linear|swa|"
    r"chunk|compress|recurr|rnn|gate|shared|width|dim|kv|block|router|group|stride|depth|branch|loop|reuse|memory|hyper|mixer|hidden_size|_size$|pattern"
)
"""Words in keys that may change the architecture."""

_KNOWN = re.compile(
    "|".join(
        (
            r".*_(alpha|beta)_factor|enable_moe_fp32_combine",
            # norms, biases, activations, initial values, drop-out
            r".*(_eps|_epsilon|epsilon|_bias|dropout|_drop|_pdrop|_act|_act_fn|activation|init|initializer.*|_init_std|initializer_factor)",
            r"(attn|attention|mlp|qkv|use|add|o|lm_head)_.*bias.*|.*bias.*|(use_)?(qk|q_k|query_key|kv)_?(layer)?_?norm(_.*)?|.*norm.*",
            r"attention_dropout.*|mla_scale_.*|attn_implementation|_attn_implementation.*|use_flash_attn.*|flash_attn.*|_flash.*|use_(flash|sdpa|eager).*",
            r"fp32_attention|attention_softmax_in_fp32|apply_query_key_layer_scaling|apply_residual_connection_post_layernorm",
            r"scale_attn_.*|scale_attention.*|attention_multiplier|attention_scaling|query_pre_attn_scalar|attn_scale|attn_temperature_.*|attention_value_scale|floor_scale",
            r"(attn|final|router)_logit_?(soft)?_?cap(ping)?.*|.*softcap.*|.*logits?_scal.*|.*soft_cap.*|.*_multipliers?|residual_.*|embedding_multiplier|mup_.*|dim_model_base|scale_(emb|depth)|lm_head_multiplier",
            # positions
            r"(max_)?(rope|rotary|mrope|yarn|ntk|alibi|position|no_rope).*|.*rope.*|.*rotary.*|partial_rotary_factor|alibi|use_.*ntk|original_max_position_embeddings|use_qk_norm",
            r"nope_layer_interval|layer_switch|order_of_interleaved_layers|use_parallel_.*|use_embedding_sharing|use_gated_activation|no_rope_layer_interval|parallel_attn|use_parallel_residual|parallel_residual|use_pos_enc|max_window_layers|use_mrope",
            # how experts are chosen, and losses of training
            r"n_group|topk_group|n_topk_groups?|topk_method|norm_topk_prob|routed_scaling_factor|scoring_func|seq_aux|.*aux_loss.*|.*z_loss.*|ep_size|.*_loss_(coef|weight|alpha).*",
            r"router_(aux|z|jitter|bias|dtype|score|scal|func|act|type|norm|topk|use).*|.*router_(bias|scaling_factor|dtype|jitter.*|norm.*)|output_router_logits|moe_(router|routed_scaling|renorm|apply|use|layer_norm|aux|gate|capacity|norm|scal|group|token|load|z|permute|alltoall|grouped|jitter|loss|dropout|multi|tp|ep|world|dense_experts).*",
            r"moe_router.*|expert_(capacity|parallel|bias|score|tensor).*|.*capacity_factor.*|use_(moe|router|routing|grouped|expert|shared_gate|gate).*|score_(func|function)|routing_(type|method|strategy)|(output_)?gate_(type|act|dtype)|num_expert_group|score_function|shared_expert_gate|use_shared_expert_gate|norm_expert_weight",
            # multi-token prediction
            r"(num_)?(nextn|mtp).*|.*_(nextn|mtp).*|num_nextn_predict_layers|mtp_.*|num_mtp_modules|ignore_mtp.*",
            # tokens, tasks, generation, files
            r".*token_?(id|ids|index|type|per).*|.*_token|tokenizer_.*|.*_token_.*|(id2label|label2id|problem_type|finetuning_task|task_specific_params|classifier_.*|summary_.*|num_labels|type_vocab_size)",
            r"output_(attentions|hidden_states|scores|past)|return_dict.*|use_cache|use_return_dict|num_logits_to_keep|chunk_size_feed_forward|is_decoder|is_causal|cross_attention_hidden_size|tie_.*|torchscript|pruned_heads|prune_heads|gradient_checkpointing|pretraining_tp|layer_drop|layerdrop|early_.*|exponential.*|length_penalty|diversity_penalty|num_(beams|beam_groups|return_sequences)|no_repeat.*|repetition_penalty|encoder_no_repeat.*|cache_implementation|auto_map|architectures|transformers_version|_name_or_path|(torch_)?dtype|model_type|custom_.*|use_bfloat16|bf16|fp16|fp32|quantization_config|compression_config|unsloth.*|mm_.*|onnx|softmax_.*|use_dynamic_ntk|use_logn_attn|use_cache_.*|no_bias|seq_length|training_.*|slow_but_exact|skip_bias_add|hidden_dropout_prob|enable_bias|normalization_type|multi_query(_attention)?|rmsnorm|post_layer_norm|pre_layer_norm|post_layer_norm|original_rope|offset_.*|offloading|(do_)?layer_norm.*|embd_.*|embed_.*|logit_scale|vocab_size_per_layer_input|pre_seq_len|prefix_projection|kv_cache.*|attention_sink.*|use_bidirectional.*|use_gemma_norm|swiglu_.*|clip_qkv|attn_pdrop|sinks?|final_.*",
            # images, sound, video
            r".*(vision|visual|image|audio|video|speech|patch|projector|pixel|img|vit|talker|token2wav|code2wav|codec|multimodal|spatial|frames?_|temporal|downsample|resampler|sam_|siglip|deepstack).*",
        )
    )
)
"""Keys that change no size, or that describe other parts than the language model."""


def speaks_of_architecture(key: str) -> bool:
    """Return whether the name of a key mentions layers, heads, experts or similar parts."""
    return _SPEAKS.search(key.lower()) is not None


def is_known(key: str) -> bool:
    """Return whether a key changes no size of the language model.

    >>> is_known("rms_norm_eps"), is_known("num_memory_blocks")
    (True, False)
    """
    return _KNOWN.fullmatch(key) is not None


def asks(value: Any) -> bool:
    """Return whether a value requests something: it is not null, false, 0 or empty."""
    return value is not None and value is not False and value not in (0, "", [], {})
