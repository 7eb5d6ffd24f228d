#include "trainer/run/receipt.h"

#include <ATen/Version.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>

#include "runtime/error.h"
#include "runtime/instruction_set.h"
#include "runtime/sha256.h"

namespace cadre::run {
namespace {

// What may change between two starts of one run: where things lie, when to log and save, and what one kernel serves.
// The content of a base or adapter that has moved is compared by its hash.
constexpr std::array kFreeKeys = {"output_dir",
                                  "overwrite_output_dir",
                                  "resume_from_checkpoint",
                                  "logging_steps",
                                  "save_steps",
                                  "saves_per_epoch",
                                  "save_total_limit",
                                  "dataset_prepared_path",
                                  "report_to",
                                  "base_model",
                                  "lora_model_dir",
                                  "attn_implementation",
                                  "zero_stage",
                                  "state_copies",
                                  "on_nonfinite",
                                  "heartbeat_limit",
                                  "progress_limit",
                                  "min_ranks",
                                  "rejoin_wait"};

boost::json::value text_or_null(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value == nullptr ? boost::json::value(nullptr) : *value;
}

// Of rank, scaling and targets, and of the adapter that is continued.
std::string adapter_sha256(const Base& base) {
  if (!base.adapter) return "";
  adapter_folder::AdapterConfig config = *base.adapter;
  config.base_model_name_or_path.clear();  // the folder may have moved
  const std::string start = base.start ? base.start->sha256() : "";
  return runtime::sha256_hex(adapter_folder::print_adapter_config(config) + start);
}

boost::json::object instruction_set() {
  boost::json::object pins;
  for (const auto& [name, value] : runtime::pins_in_environment()) pins[name] = value;
  return pins;
}

std::string shell_words_of(const boost::json::object& pins) {
  runtime::InstructionPins words;
  for (const auto& [name, value] : pins) {
    if (value.is_string()) words[name] = value.get_string();
  }
  return runtime::shell_words(words);
}

const boost::json::object& object_of(const boost::json::object& receipt, std::string_view key) {
  static const boost::json::object none;
  const boost::json::value* value = receipt.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : none;
}

void require_equal(const boost::json::object& before, const boost::json::object& now, const std::string& key,
                   const std::string& remedy) {
  const boost::json::value was = text_or_null(before, key), is = text_or_null(now, key);
  if (was == is) return;
  throw runtime::UserError("this run began with " + key + " " + boost::json::serialize(was) + ", now it is " +
                           boost::json::serialize(is) + ": " + remedy);
}

}  // namespace

boost::json::object make_receipt(const ReceiptInput& input) {
  boost::json::object configuration, origins;
  for (const config::Resolved::Entry& entry : input.resolved.entries) {
    configuration[entry.key] = entry.value;
    origins[entry.key] = entry.origin;
  }
  boost::json::array sources;
  for (const std::string& hash : input.prepared.source_sha256) sources.emplace_back(hash);
  return {
      {"configuration", configuration},
      {"origins", origins},
      {"seed", input.resolved.config.seed},
      {"chat_template_date", input.chat_template_date},
      {"versions", boost::json::object{{"cadre", CADRE_VERSION}, {"torch", TORCH_VERSION}, {"compiler", __VERSION__}}},
      {"cpu_capability", at::get_cpu_capability()},
      {"instruction_set", instruction_set()},
      {"sha256", boost::json::object{{"base_model", input.base.folder.sha256()},
                                     {"sources", sources},
                                     {"train", input.prepared.train.sha256},
                                     {"validation", input.prepared.validation.sha256},
                                     {"adapter", adapter_sha256(input.base)},
                                     {"binary", runtime::sha256_of_file("/proc/self/exe")}}},
      {"training_rows", input.prepared.train.rows()}};
}

void require_same_mathematics(const boost::json::object& receipt, const boost::json::object& now) {
  const boost::json::object& before_keys = receipt.at("configuration").as_object();
  const boost::json::object& now_keys = now.at("configuration").as_object();
  for (const auto& [key, value] : now_keys) {
    if (std::find(kFreeKeys.begin(), kFreeKeys.end(), std::string_view(key)) != kFreeKeys.end()) continue;
    require_equal(before_keys, now_keys, std::string(key),
                  "set it back to go on, or give another output_dir (or --overwrite_output_dir) to begin anew");
  }
  const boost::json::object& before_hashes = receipt.at("sha256").as_object();
  const boost::json::object& now_hashes = now.at("sha256").as_object();
  for (const char* key : {"base_model", "train", "validation", "adapter"}) {
    require_equal(
        before_hashes, now_hashes, key,
        "its content has changed since; bring the old one back to go on, or begin anew in another output_dir");
  }
  // A compiler or LibTorch of another version may round otherwise. The hash of the program itself is kept and not
  // compared: the same sources built in another folder give another file, and the same bits.
  for (const char* key : {"cadre", "torch", "compiler"}) {
    require_equal(object_of(receipt, "versions"), object_of(now, "versions"), key,
                  "another build may round otherwise; go on with the program that began it, or begin anew in another "
                  "output_dir");
  }
  const boost::json::object& pins = object_of(receipt, "instruction_set");
  for (const auto& [name, value] : object_of(now, "instruction_set")) {
    require_equal(pins, object_of(now, "instruction_set"), std::string(name),
                  "other instructions round otherwise; start it with " + shell_words_of(pins) + " to go on");
  }
  require_equal(receipt, now, "cpu_capability",
                "other instructions round otherwise; set ATEN_CPU_CAPABILITY to the old value to go on");
}

}  // namespace cadre::run
