#include "trainer/data/row_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <vector>

#include "runtime/error.h"
#include "trainer/data/utf8.h"

namespace cadre::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Every row as "number:json".
std::vector<std::string> read_all(std::string_view text, FileFormat format) {
  const auto reader = read_rows(text, format, "f");
  std::vector<std::string> rows;
  Row row;
  while (reader->next(row)) rows.push_back(std::to_string(row.number) + ":" + boost::json::serialize(row.fields));
  return rows;
}

using Rows = std::vector<std::string>;

TEST(Jsonl, Reads) {
  EXPECT_EQ(read_all("{\"a\":1}\n{\"a\":[true,null]}", FileFormat::kJsonl),
            (Rows{"1:{\"a\":1}", "2:{\"a\":[true,null]}"}));
  EXPECT_EQ(read_all("\xEF\xBB\xBF{\"a\":1}\r\n\r\n \t\r\n{\"b\":\"\\u00e9\"}\r\n", FileFormat::kJsonl),
            (Rows{"1:{\"a\":1}", "4:{\"b\":\"é\"}"}));
  EXPECT_TRUE(read_all("", FileFormat::kJsonl).empty());
  EXPECT_TRUE(read_all("\n\n", FileFormat::kJsonl).empty());
  EXPECT_EQ(read_all("{\"a\":\"x\\u0000y:{\\\"\"}", FileFormat::kJsonl).size(), 1u);
}

TEST(Json, ReadsThreeShapesAndLines) {
  const Rows rows{"1:{\"a\":1}", "2:{\"a\":2}"};
  EXPECT_EQ(read_all(" [ {\"a\":1} ,\n{\"a\":2}\n] \n", FileFormat::kJson), rows);
  EXPECT_EQ(read_all("{\"version\":{\"x\":[1,\"]}\"]},\"data\":[{\"a\":1},{\"a\":2}],\"n\":2}", FileFormat::kJson),
            rows);
  EXPECT_EQ(read_all("{\"one\":{\"a\":1},\"two\":{\"a\":2}}", FileFormat::kJson), rows);
  EXPECT_EQ(read_all("{\"a\":1}\n{\"a\":2}\n", FileFormat::kJson), rows);
  EXPECT_TRUE(read_all("[]", FileFormat::kJson).empty());
  EXPECT_TRUE(read_all("{}", FileFormat::kJson).empty());
}

TEST(Csv, Reads) {
  EXPECT_EQ(read_all("a,b\n1,2\n", FileFormat::kCsv), (Rows{"2:{\"a\":\"1\",\"b\":\"2\"}"}));
  EXPECT_EQ(read_all("a,b\r\n\"x,\"\"y\"\"\r\nz\",\r\n\r\n,w", FileFormat::kCsv),
            (Rows{"2:{\"a\":\"x,\\\"y\\\"\\r\\nz\",\"b\":\"\"}", "5:{\"a\":\"\",\"b\":\"w\"}"}));
  EXPECT_EQ(read_all("\xEF\xBB\xBF\"a\"\n5\" disk\n\"\"\n", FileFormat::kCsv),
            (Rows{"2:{\"a\":\"5\\\" disk\"}", "3:{\"a\":\"\"}"}));
  EXPECT_EQ(read_all(",a,\n0,x,9\n", FileFormat::kCsv), (Rows{"2:{\"a\":\"x\"}"}));
  EXPECT_TRUE(read_all("a,b", FileFormat::kCsv).empty());
}

struct Bad {
  const char* name;
  FileFormat format;
  std::string text;
  const char* where;
  const char* message;
};

std::string deep(int levels, const char* open, const char* close) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += open;
  for (int i = 0; i < levels; ++i) text += close;
  return text;
}

const std::vector<Bad>& bad_files() {
  static const std::vector<Bad> cases = {
      {"cut", FileFormat::kJsonl, "{\"a\":1}\n{\"a\":\"hel", "f:2: ", "cut off"},
      {"cut_in_character", FileFormat::kJsonl, "{\"a\":1}\n{\"a\":\"\xC3", "f:2: ", "cut off"},
      {"cut_in_escape", FileFormat::kJsonl, "{\"a\":\"\\u00", "f:1: ", "cut off"},
      {"not_json", FileFormat::kJsonl, "\n\nhello\n", "f:3: ", "not valid JSON at byte 1"},
      {"single_quotes", FileFormat::kJsonl, "{'a': 1}", "f:1: ", "not valid JSON at byte 2"},
      {"trailing_comma", FileFormat::kJsonl, "{\"a\": 1,}", "f:1: ", "not valid JSON"},
      {"two_objects_a_line", FileFormat::kJsonl, "{\"a\":1}{\"a\":2}", "f:1: ", "not valid JSON at byte 8"},
      {"not_an_object", FileFormat::kJsonl, "{}\n[1]", "f:2: ", "expected one JSON object a line"},
      {"number", FileFormat::kJsonl, "17", "f:1: ", "expected one JSON object a line"},
      {"array_file", FileFormat::kJsonl, "[\n{}\n]", "f:1: ", "set `format: json`"},
      {"raw_nul", FileFormat::kJsonl, std::string("{\"a\":\"x\0y\"}", 11), "f:1: ", "not valid JSON"},
      {"zero_fill", FileFormat::kJsonl, "{}\n" + std::string(100, '\0'), "f:2: ", "not valid JSON"},
      {"latin1", FileFormat::kJsonl, "{\"a\":\"caf\xE9\"}", "f:1: ", "not valid JSON"},
      {"overlong_utf8", FileFormat::kJsonl, "{\"a\":\"\xC0\xAF\"}", "f:1: ", "not valid JSON"},
      {"surrogate_bytes", FileFormat::kJsonl, "{\"a\":\"\xED\xA0\x80\"}", "f:1: ", "not valid JSON"},
      {"lone_surrogate", FileFormat::kJsonl, "{\"a\":\"\\ud800\"}", "f:1: ", "not valid JSON"},
      {"nan", FileFormat::kJsonl, "{\"a\":NaN}", "f:1: ", "not valid JSON"},
      {"duplicate", FileFormat::kJsonl, "{\"a\":1,\"b\":{},\"a\":2}", "f:1: ", "key \"a\" more than once"},
      {"duplicate_inside", FileFormat::kJsonl, "{}\n{\"m\":[{\"r\":\":\",\"r\":\"\"}]}",
       "f:2: ", "key \"r\" more than once"},
      {"duplicate_by_escape", FileFormat::kJsonl, "{\"a\":1,\"\\u0061\":2}", "f:1: ", "more than once"},
      {"deep_arrays", FileFormat::kJsonl, "{\"a\":" + deep(100, "[", "]") + "}", "f:1: ", "nested deeper than 64"},
      {"deep_objects", FileFormat::kJsonl, deep(100'000, "{\"a\":", ""), "f:1: ", "nested deeper than 64"},
      {"utf16", FileFormat::kJsonl, std::string("\xFF\xFE{\0}\0", 6), "f: ", "UTF-16"},
      {"gzip", FileFormat::kJsonl, "\x1F\x8B\x08", "f: ", "gzip"},
      {"parquet", FileFormat::kJsonl, "PAR1....", "f: ", "Parquet"},
      {"long_line", FileFormat::kJsonl, "{}\n{\"a\":\"" + std::string(kMaxRowBytes, 'x') + "\"}",
       "f:2: ", "at most 67108864"},

      {"json_empty", FileFormat::kJson, " \n", "f: ", "an empty file"},
      {"json_scalar", FileFormat::kJson, "12", "f: ", "expected a JSON array"},
      {"json_cut_between", FileFormat::kJson, "[{\"a\":1},", "f:2: ", "cut off"},
      {"json_cut_inside", FileFormat::kJson, "[{\"a\":1},{\"a\":", "f:2: ", "cut off"},
      {"json_cut_before_end", FileFormat::kJson, "[{\"a\":1}", "f:1: ", "cut off"},
      {"json_missing_comma", FileFormat::kJson, "[{} {}]", "f:1: ", "expected a comma"},
      {"json_trailing_comma", FileFormat::kJson, "[{},]", "f:2: ", "expected a value"},
      {"json_leading_comma", FileFormat::kJson, "[,{}]", "f:1: ", "expected a value"},
      {"json_more", FileFormat::kJson, "[{}] x", "f: ", "expected the end of the file"},
      {"json_bad_row", FileFormat::kJson, "[{},{\"a\" 1}]", "f:2: ", "not valid JSON"},
      {"json_row_not_object", FileFormat::kJson, "[{},\"text\"]", "f:2: ", "expected an object for each row"},
      {"json_one_row", FileFormat::kJson, "{\"a\":\"b\"}", "f:1: ", "expected an object for each row"},
      {"json_key", FileFormat::kJson, "{a:{}}", "f:1: ", "expected a quoted key"},
      {"json_colon", FileFormat::kJson, "{\"a\" {}}", "f:1: ", "expected a colon"},
      {"json_two_data", FileFormat::kJson, "{\"data\":[],\"data\":[]}", "f:2: ", "\"data\" stands there twice"},
      {"json_wrong_bracket", FileFormat::kJson, "[{\"a\":[1}]]", "f:1: ", "not valid JSON"},
      {"json_deep", FileFormat::kJson, "[" + deep(1'000'000, "[", ""), "f:1: ", "nested deeper"},
      {"json_unclosed_string", FileFormat::kJson, "[\"abc\\\"", "f:1: ", "cut off"},

      {"csv_empty", FileFormat::kCsv, "", "f: ", "empty file"},
      {"csv_only_blank", FileFormat::kCsv, "\n\r\n\n", "f: ", "empty file"},
      {"csv_too_few", FileFormat::kCsv, "a,b\n1,2\n3\n", "f:3: ", "expected 2 fields as in the header, found 1"},
      {"csv_too_many", FileFormat::kCsv, "a,b\n1,2,3\n", "f:2: ", "found 3"},
      {"csv_after_embedded_line", FileFormat::kCsv, "a,b\n\"1\n\n\",2\n3\n", "f:5: ", "found 1"},
      {"csv_duplicate", FileFormat::kCsv, "\na,b,a\n", "f:2: ", "column \"a\" stands in the header twice"},
      {"csv_unclosed", FileFormat::kCsv, "a\nx\n\"y\nz\n", "f:3: ", "not closed before the file ends"},
      {"csv_after_quote", FileFormat::kCsv, "a\n\"x\"y\n", "f:2: ", "after a closing quote"},
      {"csv_latin1", FileFormat::kCsv, "a\ncaf\xE9\n", "f:2: ", "not valid UTF-8"},
      {"csv_nul", FileFormat::kCsv, std::string("a\nx\0y\n", 6), "f:2: ", "NUL"},
      {"csv_carriage_return", FileFormat::kCsv, "a,b\r1,2\r", "f:1: ", "carriage return"},
      {"csv_long", FileFormat::kCsv, "a\n\"" + std::string(kMaxRowBytes, 'x') + "\"\n", "f:2: ", "64 MB"},
      {"csv_long_bare", FileFormat::kCsv, "a\n" + std::string(kMaxRowBytes + 1, 'x') + "\n",
       "f:2: ", "more than 67108864"},
  };
  return cases;
}

class BadFile : public testing::TestWithParam<std::size_t> {};

TEST_P(BadFile, NamesTheRow) {
  const Bad& bad = bad_files()[GetParam()];
  try {
    read_all(bad.text, bad.format);
    FAIL() << "accepted";
  } catch (const runtime::UserError& error) {
    EXPECT_THAT(error.what(), StartsWith(bad.where));
    EXPECT_THAT(error.what(), HasSubstr(bad.message));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "one line";
    EXPECT_LT(std::string(error.what()).size(), 300u);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, BadFile, testing::Range<std::size_t>(0, bad_files().size()),
                         [](const auto& info) { return bad_files()[info.param].name; });

// A file cut at any byte gives its whole rows, then either ends or names the row that is cut.
TEST(Jsonl, CutAtAnyByte) {
  const std::string text = "{\"a\":\"é\\n\"}\r\n\n{\"b\":[1.5e3,{\"c\":null}]}\n{\"d\":\"\\ud83d\\ude00\"}\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string part = text.substr(0, cut);
    const auto line = static_cast<std::uint64_t>(std::count(part.begin(), part.end(), '\n')) + 1;
    const auto reader = read_rows(part, FileFormat::kJsonl, "f");
    Row row;
    try {
      while (reader->next(row)) EXPECT_LE(row.number, line);
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), StartsWith("f:" + std::to_string(line) + ": ")) << part;
    }
  }
}

TEST(Csv, CutAtAnyByteNeverFailsUnnamed) {
  const std::string text = "a,b\r\n\"x \"\"y\"\"\nz\",2\r\n3,\"é\"\r\n";
  for (std::size_t cut = 1; cut <= text.size(); ++cut) {
    try {
      read_all(text.substr(0, cut), FileFormat::kCsv);
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), StartsWith("f:")) << cut;
    }
  }
}

TEST(Format, FromNameOrKey) {
  EXPECT_EQ(format_of("a.jsonl", ""), FileFormat::kJsonl);
  EXPECT_EQ(format_of("a.txt", "csv"), FileFormat::kCsv);
  EXPECT_EQ(format_of("dir.csv/a.parquet", ""), FileFormat::kParquet);
  EXPECT_THROW(format_of("a.txt", ""), runtime::UserError);
  EXPECT_THROW(format_of("a", ""), runtime::UserError);
  EXPECT_THROW(format_of("a.csv", "tsv"), runtime::UserError);
}

TEST(Utf8, Edges) {
  for (const char* good : {"", "abcdefgh", "é", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xE2\x82", "abcdefgh\xC3", "\xC3(", "\xE2\x82("})
    EXPECT_FALSE(is_utf8(bad));
}

// The public files that people have: their numbers of rows.
TEST(RealFiles, Rows) {
  const std::filesystem::path data = CADRE_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no ../shared/data beside the repository";
  const std::vector<std::pair<const char*, std::size_t>> files = {
      {"banking77/train.csv", 10'003}, {"banking77/test.csv", 3'080},
      {"mts_dialog/train.csv", 1'201}, {"crows_pairs/crows_pairs_anonymized.csv", 1'508},
      {"gsm8k/test.jsonl", 1'319},     {"legal_summarization/all_v1.json", 446}};
  for (const auto& [name, expected] : files) {
    const auto reader = open_rows(data / name, format_of(name, ""));
    std::size_t rows = 0;
    Row row;
    while (reader->next(row)) ++rows;
    EXPECT_EQ(rows, expected) << name;
  }
}

}  // namespace
}  // namespace cadre::data
