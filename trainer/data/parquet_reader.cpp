#include "trainer/data/parquet_reader.h"

#include "runtime/error.h"

// The one file that sees Arrow.
#ifdef CADRE_PARQUET

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "trainer/data/json_text.h"

namespace cadre::data {
namespace {

constexpr std::int64_t kBatchRows = 512;  // decoded at a time

[[noreturn]] void refuse(const std::string& where, std::string reason) {
  std::replace(reason.begin(), reason.end(), '\n', ' ');  // a message is one line
  throw runtime::UserError(where + ": not a readable Parquet file: " + reason);
}

template <typename T>
T take(arrow::Result<T> result, const std::string& where) {
  if (!result.ok()) refuse(where, result.status().message());
  return std::move(result).ValueUnsafe();
}

// Whether rows can hold it. Others (times, decimals, bytes, maps) are left out of the row: no type of row asks for one.
bool is_readable(const arrow::DataType& type, std::size_t depth = 0) {
  using arrow::Type;
  if (depth > kMaxJsonDepth) return false;
  switch (type.id()) {
    case Type::NA:
    case Type::BOOL:
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64:
    case Type::UINT8:
    case Type::UINT16:
    case Type::UINT32:
    case Type::UINT64:
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::STRING:
    case Type::LARGE_STRING:
      return true;
    case Type::DICTIONARY:
      return is_readable(*static_cast<const arrow::DictionaryType&>(type).value_type(), depth + 1);
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::STRUCT:
      for (const auto& field : type.fields())
        if (!is_readable(*field->type(), depth + 1)) return false;
      return true;
    default:
      return false;
  }
}

boost::json::value value_at(const arrow::Array& array, std::int64_t row);

template <typename List>
boost::json::value list_at(const arrow::Array& array, std::int64_t row) {
  const auto& list = static_cast<const List&>(array);
  boost::json::array out;
  out.reserve(static_cast<std::size_t>(list.value_length(row)));
  for (std::int64_t i = 0; i < list.value_length(row); ++i)
    out.push_back(value_at(*list.values(), list.value_offset(row) + i));
  return out;
}

template <typename Array>
boost::json::value scalar_at(const arrow::Array& array, std::int64_t row) {
  return static_cast<const Array&>(array).Value(row);
}

template <typename Array>
boost::json::value text_at(const arrow::Array& array, std::int64_t row) {
  const auto view = static_cast<const Array&>(array).GetView(row);
  return boost::json::string_view(view.data(), view.size());
}

// Only for what is_readable accepts; recursion is bounded by it.
boost::json::value value_at(const arrow::Array& array, std::int64_t row) {
  using arrow::Type;
  if (array.IsNull(row)) return nullptr;
  switch (array.type_id()) {
    case Type::BOOL:
      return scalar_at<arrow::BooleanArray>(array, row);
    case Type::INT8:
      return scalar_at<arrow::Int8Array>(array, row);
    case Type::INT16:
      return scalar_at<arrow::Int16Array>(array, row);
    case Type::INT32:
      return scalar_at<arrow::Int32Array>(array, row);
    case Type::INT64:
      return scalar_at<arrow::Int64Array>(array, row);
    case Type::UINT8:
      return scalar_at<arrow::UInt8Array>(array, row);
    case Type::UINT16:
      return scalar_at<arrow::UInt16Array>(array, row);
    case Type::UINT32:
      return scalar_at<arrow::UInt32Array>(array, row);
    case Type::UINT64:
      return scalar_at<arrow::UInt64Array>(array, row);
    case Type::FLOAT:
      return scalar_at<arrow::FloatArray>(array, row);
    case Type::DOUBLE:
      return scalar_at<arrow::DoubleArray>(array, row);
    case Type::STRING:
      return text_at<arrow::StringArray>(array, row);
    case Type::LARGE_STRING:
      return text_at<arrow::LargeStringArray>(array, row);
    case Type::LIST:
      return list_at<arrow::ListArray>(array, row);
    case Type::LARGE_LIST:
      return list_at<arrow::LargeListArray>(array, row);
    case Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      return value_at(*dictionary.dictionary(), dictionary.GetValueIndex(row));
    }
    case Type::STRUCT: {
      const auto& record = static_cast<const arrow::StructArray&>(array);
      boost::json::object out;
      // A struct that holds null means a key that is not there: Parquet has one schema for all messages of a file,
      // where JSON rows simply lack `tool_calls` or `name`.
      for (int i = 0; i < record.num_fields(); ++i)
        if (!record.field(i)->IsNull(row))
          out.emplace(record.type()->field(i)->name(), value_at(*record.field(i), row));
      return out;
    }
    default:
      return nullptr;
  }
}

class ParquetReader final : public RowReader {
 public:
  explicit ParquetReader(const std::filesystem::path& path) : where_(path.string()) {
    auto file = take(arrow::io::ReadableFile::Open(where_), where_);
    parquet::arrow::FileReaderBuilder builder;
    if (const auto status = builder.Open(file); !status.ok()) refuse(where_, status.message());
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_batch_size(kBatchRows);
    properties.set_pre_buffer(false);
    builder.properties(properties);
    file_ = take(builder.Build(), where_);
    batches_ = take(file_->GetRecordBatchReader(), where_);
    for (const auto& field : batches_->schema()->fields()) {
      if (batches_->schema()->GetAllFieldIndices(field->name()).size() > 1)
        throw runtime::UserError(where_ + ": the column " + excerpt(field->name()) + " stands there twice; rename one");
      readable_.push_back(is_readable(*field->type()));
    }
  }

  bool next(Row& row) override {
    while (!batch_ || in_batch_ == batch_->num_rows()) {
      batch_ = take(batches_->Next(), where_);
      in_batch_ = 0;
      if (!batch_) return false;
      if (const auto status = batch_->ValidateFull(); !status.ok())
        fail_row(where_, number_ + 1, "the Parquet data is damaged: " + status.message());
      batch_bytes_ = 0;
      for (const auto& column : batch_->columns())
        for (const auto& buffer : column->data()->buffers)
          if (buffer) batch_bytes_ += static_cast<std::size_t>(buffer->size());
    }
    row.number = ++number_;
    row.bytes = batch_bytes_ / static_cast<std::size_t>(batch_->num_rows());
    row.fields.clear();
    for (int i = 0; i < batch_->num_columns(); ++i)
      if (readable_[static_cast<std::size_t>(i)])
        row.fields.emplace(batch_->column_name(i), value_at(*batch_->column(i), in_batch_));
    ++in_batch_;
    return true;
  }

 private:
  std::string where_;
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<bool> readable_;
  std::int64_t in_batch_ = 0;
  std::size_t batch_bytes_ = 0;
  std::uint64_t number_ = 0;
};

// Arrow's Parquet layer throws its own exceptions from below its Result interface.
class GuardedParquet final : public RowReader {
 public:
  explicit GuardedParquet(const std::filesystem::path& path) : where_(path.string()) {
    guard([&] { reader_.emplace(path); });
  }
  bool next(Row& row) override {
    bool more = false;
    guard([&] { more = reader_->next(row); });
    return more;
  }

 private:
  template <typename Action>
  void guard(Action action) {
    try {
      action();
    } catch (const parquet::ParquetException& error) {
      refuse(where_, error.what());
    }
  }

  std::string where_;
  std::optional<ParquetReader> reader_;
};

}  // namespace

std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path) {
  return std::make_unique<GuardedParquet>(path);
}

}  // namespace cadre::data

#else

namespace cadre::data {

std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path) {
  throw runtime::UserError(path.string() +
                           ": this build has no Parquet: install pyarrow into the virtual environment and build again, "
                           "or convert the file to JSON Lines");
}

}  // namespace cadre::data

#endif
