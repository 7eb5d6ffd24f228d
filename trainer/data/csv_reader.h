// CSV as RFC 4180 has it: a header row, fields separated by commas, quoted where they hold commas, quotes (doubled) or
// line ends; CRLF or LF. Every field is a string. Blank lines between rows are passed over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/row_reader.h"

namespace cadre::data {

class CsvReader final : public RowReader {
 public:
  // `text` (without byte order mark) outlives the reader. UserError for a missing or malformed header.
  CsvReader(std::string_view text, std::string where);
  bool next(Row& row) override;

 private:
  // The fields of the next row that is not blank; false at the end.
  bool read_record();
  void read_field(std::string& field);
  void read_quoted(std::string& field);
  [[noreturn]] void fail(const std::string& message) const;

  std::string_view text_;
  std::string where_;
  std::size_t position_ = 0;
  std::uint64_t line_ = 1;         // of position_
  std::uint64_t record_line_ = 1;  // where the record began
  std::size_t record_begin_ = 0;
  bool record_ended_ = false;  // the field just read was the record's last
  std::vector<std::string> columns_, fields_;
  std::size_t field_count_ = 0;  // of fields_, whose strings are reused
};

}  // namespace cadre::data
