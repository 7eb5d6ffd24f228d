// The keys of one entry of `datasets` and `test_datasets`.
#include "trainer/config/schema.h"

namespace cadre::config {
namespace {

Member of(MemberOf<DatasetConfig> member) {
  return member;
}

std::vector<Key> dataset_keys() {
  const std::vector<std::string_view> alpaca{"alpaca"}, chat{"chat_template"};
  return {
      {.name = "path", .member = of(&DatasetConfig::path), .doc = "the file, from the current folder"},
      {.name = "type",
       .member = of(&DatasetConfig::type),
       .doc = "what a row is; tokenized: it holds input_ids and labels",
       .choices = {"alpaca", "completion", "chat_template", "input_output", "tokenized"},
       .later = {"dpo", "kto", "orpo", "sharegpt", "pretrain"}},
      {.name = "format",
       .member = of(&DatasetConfig::format),
       .doc = "of the file; empty: from its name's ending",
       .choices = {"json", "jsonl", "csv", "parquet"},
       .aliases = {"ds_type"}},
      {.name = "field",
       .member = of(&DatasetConfig::field),
       .doc = "column of the text; empty: text",
       .dataset_types = {"completion"}},
      {.name = "field_instruction",
       .member = of(&DatasetConfig::field_instruction),
       .doc = "empty: instruction",
       .dataset_types = alpaca},
      {.name = "field_input",
       .member = of(&DatasetConfig::field_input),
       .doc = "empty: input",
       .dataset_types = alpaca},
      {.name = "field_output",
       .member = of(&DatasetConfig::field_output),
       .doc = "empty: output",
       .dataset_types = alpaca},
      {.name = "field_system",
       .member = of(&DatasetConfig::field_system),
       .doc = "empty: system",
       .dataset_types = alpaca},
      {.name = "prompt_format",
       .member = of(&DatasetConfig::prompt_format),
       .doc = "text with {instruction}, {input}, {system}",
       .dataset_types = alpaca},
      {.name = "prompt_no_input_format",
       .member = of(&DatasetConfig::prompt_no_input_format),
       .doc = "the same for rows without an input",
       .dataset_types = alpaca},
      {.name = "output_format",
       .member = of(&DatasetConfig::output_format),
       .doc = "text with {output}, such as \" {output}\"; empty: the output alone",
       .dataset_types = alpaca},
      {.name = "field_messages",
       .member = of(&DatasetConfig::field_messages),
       .doc = "empty: messages",
       .dataset_types = chat},
      {.name = "message_field_role",
       .member = of(&DatasetConfig::message_field_role),
       .doc = "empty: role",
       .dataset_types = chat},
      {.name = "message_field_content",
       .member = of(&DatasetConfig::message_field_content),
       .doc = "empty: content",
       .dataset_types = chat},
      {.name = "field_tools", .member = of(&DatasetConfig::field_tools), .doc = "empty: tools", .dataset_types = chat},
      {.name = "field_segments",
       .member = of(&DatasetConfig::field_segments),
       .doc = "empty: segments",
       .dataset_types = {"input_output"}},
      {.name = "chat_template",
       .member = of(&DatasetConfig::chat_template),
       .doc = "instead of the run's",
       .aliases = {"chat_template_jinja"},
       .dataset_types = chat},
      {.name = "limit",
       .member = of(&DatasetConfig::limit),
       .doc = "only so many rows; 0: all",
       .limits = {.least = 0, .most = 1e12},
       .aliases = {"max_samples"}},
      {.name = "skip",
       .member = of(&DatasetConfig::skip),
       .doc = "leave out so many rows at the start",
       .limits = {.least = 0, .most = 1e12}},
  };
}

std::vector<NotBuilt> dataset_not_built() {
  return {
      {.name = "split", .neutral = {"train"}, .instead = "a file is read whole; use limit and skip, or several files"},
      {.name = "name", .neutral = {}, .instead = "path names one file"},
      {.name = "data_files", .neutral = {}, .instead = "write one entry with path for each file"},
      {.name = "message_property_mappings",
       .neutral = {},
       .instead = "message_field_role and message_field_content are"},
      {.name = "roles_to_train",
       .neutral = {"assistant"},
       .instead = "assistant turns are trained; a message's weight: 0 leaves it out"},
      {.name = "train_on_eos", .neutral = {}, .instead = "write train_on_eos at the top level, for all datasets"},
      {.name = "shards", .neutral = {"1"}, .instead = "limit and skip are"},
  };
}

}  // namespace

const Schema& dataset_schema() {
  static const Schema schema{
      .keys = dataset_keys(), .translations = {}, .not_built = dataset_not_built(), .comma_lists = {}};
  return schema;
}

}  // namespace cadre::config
