#include "trainer/run/run_setup.h"

#include <filesystem>
#include <thread>

#include "runtime/checkpoint_store.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/plain_text.h"
#include "trainer/run/preparation.h"
#include "trainer/run/receipt.h"
#include "trainer/run/step_plan.h"

namespace cadre::run {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPreparedFolder = "prepared";

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

// A run writes what its folder's name promises, and removes it when it begins anew: never where it reads from.
void require_own_folder(const config::Config& config) {
  std::error_code ignored;
  for (const auto& [key, path] :
       {std::pair{"base_model", config.base_model}, {"lora_model_dir", config.lora_model_dir}}) {
    if (!path.empty() && fs::equivalent(path, config.output_dir, ignored)) {
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

// The checkpoint to go on from is looked for by the coordinator; one that is named is looked at now.
void require_named_checkpoint(const config::Config& config) {
  const std::string& from = config.resume_from_checkpoint;
  if (from == "auto" || from == "none") return;
  if (const std::string problem = runtime::verify_checkpoint(from); !problem.empty()) {
    throw runtime::UserError("resume_from_checkpoint: " + from + ": " + problem);
  }
}

bool has_checkpoint(const runtime::RunFolder& folder) {
  for (const runtime::CheckpointEntry& entry : runtime::CheckpointStore(folder.checkpoints()).list()) {
    if (entry.problem.empty()) return true;
  }
  return false;
}

// The configuration as the ranks read it: with the cache that this process fills.
config::Resolved with_cache(const config::Resolved& resolved, const runtime::RunFolder& folder, std::int64_t ranks) {
  std::vector<config::Override> overrides;
  if (resolved.config.dataset_prepared_path.empty()) {
    overrides.push_back({"dataset_prepared_path", (folder.path() / kPreparedFolder).string()});
  }
  return config::load_text(config::describe(resolved), "the run's configuration", overrides, ranks);
}

}  // namespace

std::int64_t ranks_of_first_start(const std::string& output_dir, std::int64_t ranks) {
  const runtime::FolderState state = runtime::look_at_run_folder(output_dir);
  if (!state.is_unfinished()) return ranks;
  const auto* first = state.record->receipt.if_contains("ranks");
  return first != nullptr && first->is_int64() ? first->as_int64() : ranks;
}

RunSetup set_up_run(const config::Resolved& resolved, std::int64_t ranks, Progress& progress,
                    const std::function<void()>& check) {
  const config::Config& config = resolved.config;
  for (const std::string& note : resolved.notes) progress.note(note);
  require_own_folder(config);
  const Base base = open_base(config);
  require_readable_data(config);
  require_named_checkpoint(config);
  const std::optional<runtime::RunRecord> before = runtime::look_at_run_folder(config.output_dir).record;
  runtime::RunFolder folder = runtime::RunFolder::open(
      config.output_dir, {.resume = config.resume_from_checkpoint != "none", .overwrite = config.overwrite_output_dir},
      runtime::now_utc());
  progress.log_to(folder.logs() / "launcher.log");
  try {
    const std::string date = chat_template_date(config, folder.record());
    const config::Resolved for_ranks = with_cache(resolved, folder, ranks);
    const data::Prepared prepared =
        prepare_data(for_ranks.config, base, date, static_cast<int>(std::thread::hardware_concurrency()), check);
    for (const std::string& warning : prepared.warnings) progress.warn(warning);
    say_data(progress, "training data", prepared.train_report);
    if (prepared.validation.rows() > 0) say_data(progress, "validation data", prepared.validation_report);

    boost::json::object receipt = make_receipt({resolved, base, prepared, date});
    receipt["ranks"] = ranks;
    runtime::RunRecord record = folder.record();
    if (folder.opening() == runtime::Opening::kResume && has_checkpoint(folder) && !record.receipt.empty()) {
      require_same_mathematics(record.receipt, receipt);
    } else {
      record.receipt = std::move(receipt);
    }
    folder.write(std::move(record), runtime::now_utc());
    const StepPlan plan(prepared.train, config);
    return {std::move(folder), config::describe(for_ranks), date, prepared.cache_key,
            static_cast<std::uint64_t>(plan.steps_per_epoch())};
  } catch (const runtime::UserError& error) {
    // A run that was here is what it was; of one that has just begun it is said why it did not.
    if (folder.opening() == runtime::Opening::kResume && before) {
      folder.put_back(*before);
    } else {
      record_end(folder, runtime::RunStatus::kFailed, error.what());
    }
    throw;
  } catch (const runtime::Stopped& stopped) {
    record_end(folder, runtime::RunStatus::kStopped, stopped.what());
    throw;
  } catch (const std::exception& error) {
    record_end(folder, runtime::RunStatus::kFailed, error.what());
    throw;
  }
}

void record_workload(runtime::RunFolder& folder, std::uint64_t max_steps, std::uint64_t trained_parameters) {
  runtime::RunRecord record = folder.record();
  record.max_steps = max_steps;
  record.receipt["trained_parameters"] = trained_parameters;
  folder.write(std::move(record), runtime::now_utc());
}

void record_success(runtime::RunFolder& folder, const RunResult& result) {
  boost::json::object files;
  for (const auto& [name, hash] : result.sha256) files[name] = hash;
  runtime::RunRecord record = folder.record();
  record.receipt["result"] =
      boost::json::object{{"of", result.of}, {"steps", result.steps}, {"sha256", files}, {"verified", true}};
  record.status = runtime::RunStatus::kSucceeded;
  record.reason.clear();
  folder.write(std::move(record), runtime::now_utc());
  std::error_code ignored;  // the cache has served its purpose; what stays does no harm
  fs::remove_all(folder.path() / kPreparedFolder, ignored);
}

void record_end(runtime::RunFolder& folder, runtime::RunStatus status, const std::string& reason) noexcept {
  try {
    runtime::RunRecord record = folder.record();
    record.status = status;
    record.reason = runtime::plain_line(reason);
    folder.write(std::move(record), runtime::now_utc());
  } catch (const std::exception&) {
    // The disk refuses this too; the first failure is what the user is told.
  }
}

}  // namespace cadre::run
