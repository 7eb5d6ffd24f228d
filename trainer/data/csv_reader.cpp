#include "trainer/data/csv_reader.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/utf8.h"

namespace cadre::data {

CsvReader::CsvReader(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {
  if (!read_record())
    throw runtime::UserError(where_ + ": expected a header row with the columns' names, found an empty file");
  columns_.assign(fields_.begin(), fields_.begin() + static_cast<std::ptrdiff_t>(field_count_));
  // A column without a name (an index that some tool wrote) cannot be asked for, so there may be several.
  for (auto column = columns_.begin(); column != columns_.end(); ++column)
    if (!column->empty() && std::find(columns_.begin(), column, *column) != column)
      fail("the column " + excerpt(*column) + " stands in the header twice; rename one");
}

bool CsvReader::next(Row& row) {
  if (!read_record()) return false;
  if (field_count_ != columns_.size())
    fail(runtime::say("expected ", columns_.size(), " fields as in the header, found ", field_count_,
                      "; a field with commas or line ends must be quoted"));
  row.number = record_line_;
  row.bytes = position_ - record_begin_;
  row.fields.clear();
  row.fields.reserve(field_count_);
  for (std::size_t i = 0; i < field_count_; ++i)
    if (!columns_[i].empty()) row.fields.emplace(columns_[i], fields_[i]);
  return true;
}

bool CsvReader::read_record() {
  while (position_ < text_.size() && (text_[position_] == '\n' || text_.substr(position_, 2) == "\r\n")) {
    position_ += text_[position_] == '\n' ? 1 : 2;
    ++line_;
  }
  if (position_ == text_.size()) return false;
  record_line_ = line_;
  record_begin_ = position_;
  field_count_ = 0;
  record_ended_ = false;
  while (!record_ended_) {
    if (field_count_ == fields_.size()) fields_.emplace_back();
    read_field(fields_[field_count_++]);
  }
  for (std::size_t i = 0; i < field_count_; ++i) {
    if (!is_utf8(fields_[i])) fail(runtime::say("field ", i + 1, " is not valid UTF-8: convert the file to UTF-8"));
    if (fields_[i].find('\0') != std::string::npos)
      fail(runtime::say("field ", i + 1, " holds a NUL byte: the file is damaged or not text"));
  }
  return true;
}

// Ends past the separator that follows the field.
void CsvReader::read_field(std::string& field) {
  field.clear();
  if (position_ < text_.size() && text_[position_] == '"') {
    read_quoted(field);
  } else {
    const std::size_t end = std::min(text_.find_first_of(",\n", position_), text_.size());
    field.assign(text_.substr(position_, end - position_));
    position_ = end;
    if (field.ends_with('\r') && position_ < text_.size() && text_[position_] == '\n') {
      field.pop_back();
      --position_;
    }
    if (field.find('\r') != std::string::npos)
      fail("a carriage return alone, outside quotes: end lines with LF or CRLF, quote fields with line ends");
  }
  if (position_ - record_begin_ > kMaxRowBytes) fail(runtime::say("the row has more than ", kMaxRowBytes, " bytes"));
  if (position_ == text_.size()) {
    record_ended_ = true;
  } else if (text_[position_] == ',') {
    ++position_;
  } else if (text_[position_] == '\n' || text_.substr(position_, 2) == "\r\n") {
    position_ += text_[position_] == '\n' ? 1 : 2;
    ++line_;
    record_ended_ = true;
  } else {
    fail("expected a comma or the end of the line after a closing quote, found " + excerpt(text_.substr(position_)) +
         "; a quote inside a quoted field is written twice");
  }
}

void CsvReader::read_quoted(std::string& field) {
  ++position_;
  while (true) {
    const std::size_t quote = text_.find('"', position_);
    if (quote == std::string_view::npos || quote - record_begin_ > kMaxRowBytes)
      fail(runtime::say(
          "a quoted field that begins here is not closed ",
          quote == std::string_view::npos ? "before the file ends; the file may have been cut off" : "within 64 MB"));
    const std::string_view part = text_.substr(position_, quote - position_);
    line_ += static_cast<std::uint64_t>(std::count(part.begin(), part.end(), '\n'));
    field += part;
    position_ = quote + 1;
    if (position_ == text_.size() || text_[position_] != '"') return;
    field += '"';
    ++position_;
  }
}

void CsvReader::fail(const std::string& message) const {
  fail_row(where_, record_line_, message);
}

}  // namespace cadre::data
