// Rows of a data file, one after another, whatever its format.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace cadre::data {

// A row as its reader found it. `number` is what errors name: the line where the row begins (JSONL, CSV), or the
// element's number from 1 (JSON, Parquet). `bytes`: what it took in the file, roughly what it takes in memory.
struct Row {
  std::uint64_t number = 0;
  std::size_t bytes = 0;
  boost::json::object fields;
};

// Holds one row at a time; the file itself is mapped, never copied whole.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // False at the end. UserError `where:number: …` for a row that is malformed; the reader is not used after that.
  virtual bool next(Row& row) = 0;
};

enum class FileFormat { kJsonl, kJson, kCsv, kParquet };

// From `format` (json, jsonl, csv, parquet), or where that is empty from the file's extension. UserError otherwise.
FileFormat format_of(const std::filesystem::path& path, const std::string& format);

// UserError where the file is missing, unreadable or of a format that this build cannot read.
std::unique_ptr<RowReader> open_rows(const std::filesystem::path& path, FileFormat format);

// The same from memory that outlives the reader (not for Parquet); `where` names it in errors. For tests and fuzzing.
std::unique_ptr<RowReader> read_rows(std::string_view text, FileFormat format, const std::string& where);

// One row, or one string in it, may take this many bytes: beyond it a file is not what it seems.
inline constexpr std::size_t kMaxRowBytes = 64 << 20;

// Throws UserError `where:number: message`.
[[noreturn]] void fail_row(const std::string& where, std::uint64_t number, const std::string& message);

// At most 40 bytes of `text`, quoted, control characters and invalid bytes escaped: for messages.
std::string excerpt(std::string_view text);

}  // namespace cadre::data
