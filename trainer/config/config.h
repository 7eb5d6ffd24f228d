// The configuration of a run as plain values: the names of axolotl's flat YAML (trainer/config/schema.cpp lists them
// with their aliases, defaults and limits). Resolved from YAML file and command line by config/load.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cadre::config {

// One source of rows. Type-specific `field_*` keys as axolotl spells them; empty: that type's default name.
struct DatasetConfig {
  std::string path;
  std::string type;    // alpaca | completion | chat_template | input_output | tokenized (rows with input_ids, labels)
  std::string format;  // json | jsonl | csv | parquet; empty: from the file's extension
  std::string field;   // completion: "text"
  std::string field_instruction, field_input, field_output, field_system;  // alpaca: instruction, input, output, system
  std::string prompt_format, prompt_no_input_format;  // alpaca: with {instruction}, {input}, {system}
  std::string output_format;                          // alpaca: with {output}; empty: the output alone
  std::string field_messages, message_field_role, message_field_content;  // chat_template: messages, role, content
  std::string field_tools;                                                // chat_template: tools
  std::string field_segments;                                             // input_output: segments
  std::optional<std::string> chat_template;                               // overrides the run's
  std::int64_t limit = 0;                                                 // first rows only; 0: all
  std::int64_t skip = 0;

  bool operator==(const DatasetConfig&) const = default;
};

struct Config {
  // What is trained.
  std::string base_model;
  std::string stage = "sft";      // sft | pt
  std::string adapter = "lora";   // lora | none (full fine-tuning)
  bool init_from_config = false;  // base_model holds config.json and a tokenizer but no weights: start from random ones
  std::string lora_model_dir;
  std::int64_t lora_r = 0;
  double lora_alpha = 0;
  double lora_dropout = 0;
  std::vector<std::string> lora_target_modules;  // names, or one regex, or "all-linear"
  bool lora_target_is_list = false;              // a YAML list: suffix match; a string: regex or all-linear
  std::vector<std::string> lora_modules_to_save;
  bool use_rslora = false, use_dora = false;
  std::string init_lora_weights = "true";  // true | gaussian
  std::optional<double> loraplus_lr_ratio;
  std::string adapter_save_dtype = "float32";  // float32 | bfloat16

  // Data.
  std::vector<DatasetConfig> datasets, test_datasets;
  double val_set_size = 0;  // < 1: fraction of the rows; ≥ 1: rows
  std::string dataset_prepared_path;
  std::string chat_template = "tokenizer_default";  // or a file, or Jinja text
  std::string chat_template_date;                   // YYYY-MM-DD; empty: today at the first start, then recorded
  bool train_on_inputs = false;
  std::string train_on_eos = "turn";    // turn | all | last | none
  std::vector<std::string> eot_tokens;  // chat: tokens that end turns, beside eos and the markers the template shows
  std::int64_t sequence_len = 2048;
  std::string excess_length_strategy = "drop";  // drop | truncate | raise
  bool sample_packing = false;
  bool shuffle = true;

  // Steps.
  std::int64_t micro_batch_size = 1;
  std::optional<std::int64_t> gradient_accumulation_steps;
  std::int64_t global_batch_size = 0;  // resolved: sequences in one optimizer step
  double num_epochs = 1;
  std::int64_t max_steps = 0;  // 0: from num_epochs
  double learning_rate = 0;
  std::string lr_scheduler = "cosine";  // cosine | linear | constant
  std::optional<double> warmup_ratio;
  std::optional<std::int64_t> warmup_steps;
  double weight_decay = 0;
  double max_grad_norm = 1.0;             // 0: no clipping
  std::string on_nonfinite = "stop";      // stop | skip
  std::string optimizer = "adamw_torch";  // adamw_torch | adamw_torch_fused (the same update) | sgd
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double sgd_momentum = 0;
  std::string bf16 = "auto";  // auto (bf16 where the base is stored so) | true | false
  bool gradient_checkpointing = false;
  std::string attn_implementation = "auto";  // auto | eager | sdpa
  std::int64_t seed = 42;
  std::int64_t threads = 1;  // CPU threads a rank
  std::int64_t state_copies = 2;
  std::int64_t min_ranks = 1;
  std::int64_t rejoin_wait = 300;  // seconds
  std::int64_t zero_stage = 1;
  std::string reduction = "exact";   // exact | fast
  std::int64_t heartbeat_limit = 3;  // seconds
  std::int64_t progress_limit = 0;   // seconds; 0: by the steps so far

  // Results.
  std::string output_dir;
  bool overwrite_output_dir = false;
  std::string resume_from_checkpoint = "auto";  // auto | none | a checkpoint folder
  std::int64_t logging_steps = 1;
  std::int64_t save_steps = 0;  // 0: only the last
  double saves_per_epoch = 0;
  std::int64_t save_total_limit = 0;  // 0: keep all
  std::int64_t eval_steps = 0;        // 0: never
  double evals_per_epoch = 0;
  std::int64_t early_stopping_patience = 0;
  std::vector<std::string> report_to;  // tensorboard

  bool operator==(const Config&) const = default;
};

}  // namespace cadre::config
