#include "trainer/run/train.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/plain_text.h"
#include "trainer/run/loop.h"
#include "trainer/run/preparation.h"
#include "trainer/run/receipt.h"
#include "trainer/run/result.h"

namespace cadre::run {
namespace {

// Read once at the first start and kept, so that a resumed run renders the same text.
std::string chat_template_date(const config::Config& config, const runtime::RunRecord& record) {
  if (!config.chat_template_date.empty()) return config.chat_template_date;
  if (const auto* date = record.receipt.if_contains("chat_template_date"); date != nullptr && date->is_string()) {
    return std::string(date->as_string());
  }
  return runtime::iso_date(runtime::now_utc());
}

void say_data(Progress& progress, const char* what, const data::PrepareReport& report) {
  std::string line = runtime::say(what, ": ", report.rows_kept, " rows, ", report.tokens, " tokens, ",
                                  report.trained_tokens, " of them trained");
  if (report.dropped_too_long > 0) line += runtime::say("; ", report.dropped_too_long, " too long, left out");
  if (report.truncated > 0) line += runtime::say("; ", report.truncated, " cut");
  if (report.dropped_untrained > 0)
    line += runtime::say("; ", report.dropped_untrained, " without a trained token, left out");
  progress.note(line + (report.from_cache ? " (from the prepared cache)" : ""));
}

// Runs with the folder locked; whatever it throws is written into run.json by the caller.
Outcome run_in(runtime::RunFolder& folder, const config::Resolved& resolved, const Base& base, Progress& progress,
               const StopSignal& stop) {
  const config::Config& config = resolved.config;
  const std::string date = chat_template_date(config, folder.record());
  const std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(config);
  const data::Prepared prepared =
      data::prepare(config, tokenizer ? &*tokenizer : nullptr,
                    {.chat_template_date = date,
                     .threads = static_cast<int>(config.threads),
                     .vocab_size = base.folder.spec().vocab_size,
                     .max_position_embeddings = base.folder.spec().max_position_embeddings});
  for (const std::string& warning : prepared.warnings) progress.warn(warning);
  say_data(progress, "training data", prepared.train_report);
  if (prepared.validation.rows() > 0) say_data(progress, "validation data", prepared.validation_report);

  const std::unique_ptr<model::Decoder> decoder = load_decoder(base, config);
  std::int64_t total = decoder->parameters().elements();
  if (base.adapter) {
    for (const auto& [name, shape] : model_folder::expected_tensors(base.folder.spec())) {
      std::int64_t elements = 1;
      for (const std::int64_t size : shape) elements *= size;
      total += elements;
    }
  }
  progress.note(runtime::say(
      "training ", decoder->parameters().elements(), " of ", total, " parameters (",
      std::round(10000.0 * static_cast<double>(decoder->parameters().elements()) / static_cast<double>(total)) / 100.0,
      " %)"));

  runtime::RunRecord record = folder.record();
  const boost::json::object receipt = make_receipt({resolved, base, prepared, decoder->parameters(), date});
  Loop loop({config, base, prepared, *decoder, folder, progress, stop});
  const bool resumed = loop.restore(record.receipt, receipt);
  record = folder.record();
  if (!resumed) record.receipt = receipt;
  record.max_steps = static_cast<std::uint64_t>(loop.total_steps());
  folder.write(record, runtime::now_utc());

  if (loop.run() == Outcome::kStopped) return Outcome::kStopped;

  const std::string held_from = loop.take_result();
  round_to_saved_dtype(base, config, *decoder);
  const auto hashes = write_result(folder.path(), base, config, *decoder);
  verify_result(folder.path(), base, prepared.validation.rows() > 0 ? prepared.validation : prepared.train, *decoder);
  boost::json::object files;
  for (const auto& [name, hash] : hashes) files[name] = hash;
  record = folder.record();
  record.receipt["result"] =
      boost::json::object{{"of", held_from}, {"steps", loop.done_steps()}, {"sha256", files}, {"verified", true}};
  record.status = runtime::RunStatus::kSucceeded;
  record.reason.clear();
  folder.write(record, runtime::now_utc());
  loop.finish();
  return Outcome::kSucceeded;
}

void record_end(runtime::RunFolder& folder, runtime::RunStatus status, const std::string& reason) noexcept {
  try {
    runtime::RunRecord record = folder.record();
    record.status = status;
    record.reason = runtime::plain_line(reason);
    folder.write(record, runtime::now_utc());
  } catch (const std::exception&) {
    // The disk refuses this too; the first failure is what the user is told.
  }
}

}  // namespace

namespace {

// A run writes what its folder's name promises, and removes it when it begins anew: never where it reads from.
void require_own_folder(const config::Config& config) {
  std::error_code ignored;
  for (const auto& [key, path] :
       {std::pair{"base_model", config.base_model}, {"lora_model_dir", config.lora_model_dir}}) {
    if (!path.empty() && std::filesystem::equivalent(path, config.output_dir, ignored)) {
      throw runtime::UserError("output_dir: " + config.output_dir + " is the " + key +
                               " of this run; name another folder");
    }
  }
}

// Before anything of an earlier run is removed: what is certain to fail fails now.
void require_readable_data(const config::Config& config) {
  for (const auto* list : {&config.datasets, &config.test_datasets}) {
    for (const config::DatasetConfig& dataset : *list) runtime::MappedFile{dataset.path};
  }
}

}  // namespace

Outcome train(const config::Resolved& resolved, Progress::Style style) {
  const config::Config& config = resolved.config;
  const StopSignal stop;  // from the first line that a user sees on
  Progress progress(style);
  for (const std::string& note : resolved.notes) progress.note(note);
  at::set_num_threads(static_cast<int>(config.threads));
  require_own_folder(config);
  const Base base = open_base(config);
  require_readable_data(config);
  runtime::RunFolder folder = runtime::RunFolder::open(
      config.output_dir, {.resume = config.resume_from_checkpoint != "none", .overwrite = config.overwrite_output_dir},
      runtime::now_utc());
  progress.log_to(folder.logs() / "rank-0.log");
  try {
    const Outcome outcome = run_in(folder, resolved, base, progress, stop);
    if (outcome == Outcome::kStopped) record_end(folder, runtime::RunStatus::kStopped, "a signal asked for it");
    return outcome;
  } catch (const c10::Error& error) {
    record_end(folder, runtime::RunStatus::kFailed, error.what_without_backtrace());
    throw;
  } catch (const std::exception& error) {
    record_end(folder, runtime::RunStatus::kFailed, error.what());
    throw;
  }
}

}  // namespace cadre::run
