#include "trainer/data/prepared_cache.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstring>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "trainer/safetensors/file.h"
#include "trainer/safetensors/writer.h"

namespace cadre::data {
namespace {

constexpr const char* kRecord = "cadre.record";
constexpr const char* kSha256 = "cadre.sha256";

boost::json::object to_json(const PrepareReport& report) {
  return {{"rows_read", report.rows_read},
          {"rows_kept", report.rows_kept},
          {"dropped_too_long", report.dropped_too_long},
          {"truncated", report.truncated},
          {"dropped_untrained", report.dropped_untrained},
          {"tokens", report.tokens},
          {"trained_tokens", report.trained_tokens}};
}

PrepareReport report_from(const boost::json::value& value) {
  const auto number = [&](const char* name) { return value.at(name).to_number<std::uint64_t>(); };
  return {.rows_read = number("rows_read"),
          .rows_kept = number("rows_kept"),
          .dropped_too_long = number("dropped_too_long"),
          .truncated = number("truncated"),
          .dropped_untrained = number("dropped_untrained"),
          .tokens = number("tokens"),
          .trained_tokens = number("trained_tokens"),
          .from_cache = true};
}

boost::json::array to_json(const std::vector<std::string>& lines) {
  return boost::json::array(lines.begin(), lines.end());
}

std::vector<std::string> lines_from(const boost::json::value& value) {
  std::vector<std::string> lines;
  for (const auto& line : value.as_array()) lines.emplace_back(line.as_string());
  return lines;
}

// Over the record (key and reports) and the content hashes of both sets: nothing in the file stands outside it.
std::string seal(const std::string& record, const Prepared& prepared) {
  return runtime::sha256_hex(record + "\n" + prepared.train.sha256 + "\n" + prepared.validation.sha256);
}

template <typename T>
safetensors::NamedTensor tensor_of(std::string name, safetensors::Dtype dtype, const std::vector<T>& values) {
  return {
      std::move(name),
      {.dtype = dtype, .shape = {static_cast<std::int64_t>(values.size())}, .bytes = std::as_bytes(std::span(values))}};
}

template <typename T>
std::vector<T> values_of(const safetensors::File& file, const std::string& name, safetensors::Dtype dtype) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto* tensor = file.find(name);
  if (!tensor || tensor->dtype != dtype || tensor->shape.size() != 1 || tensor->bytes.size() % sizeof(T) != 0)
    throw runtime::UserError("no usable tensor " + name);
  std::vector<T> values(tensor->bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

void add_tensors(std::vector<safetensors::NamedTensor>& tensors, const std::string& set, const Dataset& dataset) {
  using safetensors::Dtype;
  tensors.push_back(tensor_of(set + ".input_ids", Dtype::kI32, dataset.input_ids));
  tensors.push_back(tensor_of(set + ".labels", Dtype::kI32, dataset.labels));
  tensors.push_back(tensor_of(set + ".offsets", Dtype::kI64, dataset.offsets));
}

Dataset dataset_from(const safetensors::File& file, const std::string& set) {
  using safetensors::Dtype;
  Dataset dataset;
  dataset.input_ids = values_of<std::int32_t>(file, set + ".input_ids", Dtype::kI32);
  dataset.labels = values_of<std::int32_t>(file, set + ".labels", Dtype::kI32);
  dataset.offsets = values_of<std::uint64_t>(file, set + ".offsets", Dtype::kI64);
  dataset.sha256 = content_sha256(dataset);
  return dataset;
}

std::string metadata_of(const safetensors::File& file, const char* name) {
  const auto found = file.metadata().find(name);
  if (found == file.metadata().end()) throw runtime::UserError(std::string("no ") + name);
  return found->second;
}

}  // namespace

std::filesystem::path prepared_file(const std::filesystem::path& folder, const std::string& key) {
  return folder / key / "rows.safetensors";
}

std::optional<Prepared> load_prepared(const std::filesystem::path& folder, const std::string& key,
                                      std::string& warning) {
  const auto path = prepared_file(folder, key);
  std::error_code unreadable;
  if (!std::filesystem::exists(path, unreadable)) return std::nullopt;
  try {
    const safetensors::File file(path);
    Prepared prepared;
    prepared.train = dataset_from(file, "train");
    prepared.validation = dataset_from(file, "validation");
    const std::string record = metadata_of(file, kRecord);
    // First this, then the record is used: what hashes right is what save_prepared wrote.
    if (seal(record, prepared) != metadata_of(file, kSha256)) throw runtime::UserError("its SHA-256 is another");
    const boost::json::value fields = boost::json::parse(record);
    if (fields.at("key").as_string() != key) throw runtime::UserError("it is another entry's");
    prepared.train_report = report_from(fields.at("train"));
    prepared.validation_report = report_from(fields.at("validation"));
    prepared.source_sha256 = lines_from(fields.at("source_sha256"));
    prepared.warnings = lines_from(fields.at("warnings"));
    prepared.cache_key = key;
    return prepared;
  } catch (const std::exception& error) {
    warning = runtime::say(path.string(), ": the prepared data is damaged and was made anew (", error.what(), ")");
    return std::nullopt;
  }
}

void save_prepared(const std::filesystem::path& folder, const std::string& key, const Prepared& prepared) {
  const auto path = prepared_file(folder, key);
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed) throw runtime::RunError(path.parent_path().string() + ": cannot be made: " + failed.message());
  const std::string record =
      boost::json::serialize(boost::json::object{{"key", key},
                                                 {"train", to_json(prepared.train_report)},
                                                 {"validation", to_json(prepared.validation_report)},
                                                 {"source_sha256", to_json(prepared.source_sha256)},
                                                 {"warnings", to_json(prepared.warnings)}});
  std::vector<safetensors::NamedTensor> tensors;
  add_tensors(tensors, "train", prepared.train);
  add_tensors(tensors, "validation", prepared.validation);
  safetensors::write(path, tensors, {{"format", "pt"}, {kRecord, record}, {kSha256, seal(record, prepared)}});
}

}  // namespace cadre::data
