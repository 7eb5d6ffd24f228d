#include "trainer/run/verify.h"

#include "runtime/checkpoint_store.h"
#include "runtime/error.h"
#include "runtime/record_proof.h"
#include "runtime/run_folder.h"
#include "runtime/sha256.h"
#include "trainer/model_folder/folder.h"

namespace cadre::run {
namespace {

class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}
  void check(const std::string& what, const std::string& problem) {
    out_ << (problem.empty() ? "ok      " : "FAILED  ") << what << (problem.empty() ? "" : ": " + problem) << '\n';
    all_hold_ = all_hold_ && problem.empty();
  }
  void skip(const std::string& what, const std::string& why) { out_ << "skipped " << what << ": " << why << '\n'; }
  bool all_hold() const { return all_hold_; }

 private:
  std::ostream& out_;
  bool all_hold_ = true;
};

std::string difference(const std::string& expected, const std::string& found) {
  return expected == found ? "" : "expected sha256 " + expected + ", found " + found;
}

void check_result(const std::filesystem::path& run, const boost::json::object& receipt, Report& report) {
  const auto* result = receipt.if_contains("result");
  if (result == nullptr) return report.skip("the result", "the run has not succeeded");
  for (const auto& [name, hash] : result->at("sha256").as_object()) {
    const std::filesystem::path file = run / std::string(name);
    try {
      report.check(file.filename().string(), difference(std::string(hash.as_string()), runtime::sha256_of_file(file)));
    } catch (const runtime::UserError& error) {
      report.check(file.filename().string(), error.what());
    }
  }
}

void check_base(const boost::json::object& receipt, Report& report) {
  const std::string path(receipt.at("configuration").at("base_model").as_string());
  const std::string expected(receipt.at("sha256").at("base_model").as_string());
  if (!std::filesystem::exists(path)) return report.skip("base model " + path, "it is not here");
  const auto* from_config = receipt.at("configuration").as_object().if_contains("init_from_config");
  const bool bare = from_config != nullptr && *from_config == "true";
  const auto weights = bare ? model_folder::Weights::kNone : model_folder::Weights::kRequired;
  try {
    report.check("base model " + path, difference(expected, model_folder::Folder::open(path, weights).sha256()));
  } catch (const runtime::UserError& error) {
    report.check("base model " + path, error.what());
  }
}

void check_records(const std::filesystem::path& run, const runtime::FolderState& state, Report& report) {
  const runtime::RunRecord& record = *state.record;
  runtime::ProofOptions options{.is_alive = state.holder.has_value()};
  if (const auto* rows = record.receipt.if_contains("training_rows")) {
    options.rows_of_epoch = rows->to_number<std::uint64_t>();
  }
  if (const auto* result = record.receipt.if_contains("result")) {
    options.final_step = result->at("steps").to_number<std::uint64_t>();
  }
  for (const runtime::Claim& claim : runtime::prove_records(run, options)) report.check(claim.what, claim.problem);
}

void check_checkpoints(const std::filesystem::path& run, Report& report) {
  for (const runtime::CheckpointEntry& entry : runtime::CheckpointStore(run / "checkpoints").list()) {
    report.check("checkpoints/" + entry.folder.filename().string(), runtime::verify_checkpoint(entry.folder));
  }
}

}  // namespace

bool verify(const std::filesystem::path& run, std::ostream& out) {
  const runtime::FolderState state = runtime::look_at_run_folder(run);
  if (!state.record) throw runtime::UserError(run.string() + ": expected a run's folder, found no run.json");
  Report report(out);
  try {
    if (!state.record->receipt.empty()) {
      check_result(run, state.record->receipt, report);
      check_base(state.record->receipt, report);
      check_records(run, state, report);
    }
  } catch (const boost::system::system_error& error) {
    report.check("run.json", std::string("not a receipt of cadre: ") + error.what());
  } catch (const std::out_of_range& error) {
    report.check("run.json", std::string("not a receipt of cadre: ") + error.what());
  }
  check_checkpoints(run, report);
  return report.all_hold();
}

}  // namespace cadre::run
