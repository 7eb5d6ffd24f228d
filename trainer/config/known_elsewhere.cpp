#include "trainer/config/known_elsewhere.h"

namespace cadre::config {

std::vector<Translation> run_translations() {
  return {
      {"adapter", "~", "adapter", "none"},
      {"adapter", "dora", "adapter", "lora"},
      {"adapter", "dora", "use_dora", "true"},
      {"finetuning_type", "full", "adapter", "none"},
      {"finetuning_type", "lora", "adapter", "lora"},
      {"quantization_bit", "4", "load_in_4bit", "true"},
      {"quantization_bit", "8", "load_in_8bit", "true"},
      {"quantization_bit", "none", "", ""},
      {"lora_target_modules", "all", "lora_target_modules", "all-linear"},
      {"lora_target_linear", "true", "lora_target_modules", "all-linear"},
      {"lora_target_linear", "false", "", ""},
      {"lr_scheduler", "constant_with_warmup", "lr_scheduler", "constant"},
      {"max_steps", "-1", "max_steps", "0"},
      {"disable_gradient_checkpointing", "true", "gradient_checkpointing", "false"},
      {"disable_gradient_checkpointing", "false", "gradient_checkpointing", "true"},
      {"flash_attn", "auto", "attn_implementation", "auto"},
      {"flash_attn", "disabled", "attn_implementation", "eager"},
      {"flash_attn", "sdpa", "attn_implementation", "sdpa"},
      {"flash_attn", "fa2", "attn_implementation", "flash_attention_2"},
      {"flash_attention", "true", "attn_implementation", "flash_attention_2"},
      {"flash_attention", "false", "", ""},
      {"sdp_attention", "true", "attn_implementation", "sdpa"},
      {"sdp_attention", "false", "", ""},
      {"eager_attention", "true", "attn_implementation", "eager"},
      {"eager_attention", "false", "", ""},
      {"resume_from_checkpoint", "true", "resume_from_checkpoint", "auto"},
      {"resume_from_checkpoint", "false", "resume_from_checkpoint", "none"},
      {"auto_resume_from_checkpoints", "true", "resume_from_checkpoint", "auto"},
      {"auto_resume_from_checkpoints", "false", "resume_from_checkpoint", "none"},
      {"report_to", "none", "report_to", "[]"},
      {"use_tensorboard", "true", "report_to", "[tensorboard]"},
      {"use_tensorboard", "false", "", ""},
  };
}

std::vector<NotBuilt> run_not_built() {
  constexpr std::string_view kSharding = "optimizer state is divided among the ranks by itself (zero_stage: 1)";
  constexpr std::string_view kParallel = "each rank holds the whole base model; write 1 or remove the line";
  constexpr std::string_view kPrecision = "bf16 and float32 are (bf16: auto)";
  constexpr std::string_view kTracking = "report_to: [tensorboard] and metrics.jsonl are";
  constexpr std::string_view kQuantized = "the base is held in bfloat16 or float32 (bf16: auto)";
  std::vector<NotBuilt> table = {
      {.name = "batch_size",
       .neutral = {},
       .instead = "the word is ambiguous: the whole step in some tools, one device's part in others; write "
                  "micro_batch_size (sequences a rank computes at once) and global_batch_size (sequences a step) or "
                  "gradient_accumulation_steps",
       .planned = false},
      {.name = "model_type",
       .neutral = {"AutoModelForCausalLM"},
       .instead = "config.json of base_model decides; remove the line",
       .planned = false},
      {.name = "tokenizer_type",
       .neutral = {"AutoTokenizer"},
       .instead = "the tokenizer of base_model is used; remove the line",
       .planned = false},
      {.name = "trust_remote_code",
       .neutral = {"false"},
       .instead = "no code of a model folder is ever run; remove the line",
       .planned = false},
      {.name = "template",
       .neutral = {},
       .instead = "write chat_template: tokenizer_default, a Jinja file or Jinja text",
       .planned = false},
      {.name = "dataset",
       .neutral = {},
       .instead = "write datasets: a list of maps with path and type",
       .planned = false},
      {.name = "eval_dataset",
       .neutral = {},
       .instead = "write test_datasets: a list of maps with path and type",
       .planned = false},
      {.name = "ddp_timeout",
       .neutral = {},
       .instead = "lost and stuck ranks are noticed by themselves; remove the line"},
      {.name = "fp16", .neutral = {"false"}, .instead = kPrecision},
      {.name = "tf32", .neutral = {"false"}, .instead = kPrecision},
      {.name = "fp8", .neutral = {"false"}, .instead = kPrecision},
      {.name = "pure_bf16", .neutral = {"false"}, .instead = kPrecision},
      {.name = "fsdp_version", .neutral = {}, .instead = kSharding},
      {.name = "use_wandb", .neutral = {"false"}, .instead = kTracking},
      {.name = "use_mlflow", .neutral = {"false"}, .instead = kTracking},
      {.name = "loraplus_lr_embedding",
       .neutral = {"1e-6", "1e-06", "1.0e-6", "0.000001"},
       .instead = "no adapter is put on embeddings; lora_modules_to_save: [embed_tokens] trains them whole"},
      {.name = "group_by_length", .neutral = {"false"}, .instead = "sample_packing is"},
      {.name = "neftune_noise_alpha", .neutral = {"0"}, .instead = "lora_dropout is"},
      {.name = "eval_strategy", .neutral = {"steps"}, .instead = "eval_steps or evals_per_epoch is"},
      {.name = "save_strategy", .neutral = {"steps"}, .instead = "save_steps or saves_per_epoch is"},
  };
  for (const std::string_view name : {"load_in_4bit", "load_in_8bit", "gptq"})
    table.push_back({.name = name, .neutral = {"false"}, .instead = kQuantized});
  for (const std::string_view name : {"tensor_parallel_size", "context_parallel_size", "pipeline_parallel_size",
                                      "dp_shard_size", "dp_replicate_size"})
    table.push_back({.name = name, .neutral = {"1"}, .instead = kParallel});
  for (const std::string_view name : {"deepspeed", "fsdp", "fsdp_config"})
    table.push_back({.name = name, .neutral = {""}, .instead = kSharding});
  for (const std::string_view name : {"wandb_project", "wandb_entity", "wandb_name", "wandb_watch", "wandb_run_id",
                                      "wandb_log_model", "mlflow_tracking_uri", "mlflow_experiment_name"})
    table.push_back({.name = name, .neutral = {""}, .instead = kTracking});
  return table;
}

}  // namespace cadre::config
