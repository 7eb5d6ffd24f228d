#include "trainer/data/row_reader.h"

#include <utility>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/data/csv_reader.h"
#include "trainer/data/json_reader.h"
#include "trainer/data/jsonl_reader.h"
#include "trainer/data/parquet_reader.h"

namespace cadre::data {
namespace {

std::string_view text_of(const runtime::MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// Keeps the map alive as long as the reader over it.
class MappedRows final : public RowReader {
 public:
  MappedRows(const std::filesystem::path& path, FileFormat format)
      : file_(path), rows_(read_rows(text_of(file_), format, path.string())) {}
  bool next(Row& row) override { return rows_->next(row); }

 private:
  runtime::MappedFile file_;
  std::unique_ptr<RowReader> rows_;
};

// Cuts a byte order mark; refuses text that is plainly not UTF-8, before a parser says something obscure of it.
std::string_view without_mark(std::string_view text, const std::string& where) {
  if (text.starts_with("\xEF\xBB\xBF")) return text.substr(3);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    throw runtime::UserError(where + ": expected UTF-8, found UTF-16; convert it, for example with iconv -t UTF-8");
  if (text.starts_with("\x1F\x8B"))
    throw runtime::UserError(where + ": expected text, found a gzip file; unpack it first");
  if (text.starts_with("PAR1"))
    throw runtime::UserError(where + ": expected text, found a Parquet file; set `format: parquet`");
  return text;
}

}  // namespace

FileFormat format_of(const std::filesystem::path& path, const std::string& format) {
  const std::string name = format.empty() ? path.extension().string() : "." + format;
  if (name == ".jsonl" || name == ".ndjson") return FileFormat::kJsonl;
  if (name == ".json") return FileFormat::kJson;
  if (name == ".csv") return FileFormat::kCsv;
  if (name == ".parquet") return FileFormat::kParquet;
  if (format.empty())
    throw runtime::UserError(path.string() + ": the extension " + excerpt(name) +
                             " does not tell the format; set `format` to json, jsonl, csv or parquet");
  throw runtime::UserError(path.string() + ": expected `format` json, jsonl, csv or parquet, found " + excerpt(format));
}

std::unique_ptr<RowReader> open_rows(const std::filesystem::path& path, FileFormat format) {
  if (format == FileFormat::kParquet) return open_parquet(path);
  return std::make_unique<MappedRows>(path, format);
}

std::unique_ptr<RowReader> read_rows(std::string_view text, FileFormat format, const std::string& where) {
  text = without_mark(text, where);
  switch (format) {
    case FileFormat::kJsonl:
      return std::make_unique<JsonlReader>(text, where);
    case FileFormat::kJson:
      return open_json(text, where);
    case FileFormat::kCsv:
      return std::make_unique<CsvReader>(text, where);
    case FileFormat::kParquet:
      break;
  }
  CADRE_CHECK(false, "Parquet is read from files only");
}

void fail_row(const std::string& where, std::uint64_t number, const std::string& message) {
  throw runtime::UserError(runtime::say(where, ":", number, ": ", message));
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  std::size_t length = std::min(text.size(), kLongest);
  // Not in the middle of a character.
  while (length < text.size() && length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  std::string out = "\"";
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + (length < text.size() ? "…\"" : "\"");
}

}  // namespace cadre::data
