#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "tests/unit/data/prepare_fixture.h"
#include "trainer/data/row_reader.h"

namespace cadre::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Three rows with the columns text, messages (lists of structs with nulls), n, and when (times, which rows cannot
// hold).
constexpr std::string_view kFile =
    "UEFSMRUAFSQVJCwVBhUAFQYVBhwAAAACAAAAAwMBAAAAYQMAAADDqQoVABU6FTosFQYVABUGFQYcAAAAAgAAAAYABAAAAAMMAQAEAAAAdXNl"
    "cgMAAABib3QVABUmFSYsFQYVABUGFQYcAAAAAgAAAAYABAAAAAMLAQABAAAAehUAFTwVPCwVBhUAFQYVBhwAAAACAAAABgEBAAAAAAAAAAIA"
    "AAAAAAAAAwAAAAAAAAAVABU8FTwsFQYVABUGFQYcAAAAAgAAAAYBAQAAAAAAAAACAAAAAAAAAAMAAAAAAAAAFQQZnDUAGAZzY2hlbWEVCAAV"
    "DCUCGAR0ZXh0JQBMHAAAADUCGAhtZXNzYWdlcxUCFQZMPAAAADUEGARsaXN0FQIANQIYB2VsZW1lbnQVBAAVDCUCGARyb2xlJQBMHAAAABUM"
    "JQIYBG5hbWUlAEwcAAAAFQQlAhgBbgAVBCUCGAR3aGVuJRJMjBIcHAAAAAAAFgYZHBlcJgAcFQwZJQYAGRgEdGV4dBUAFgYWShZKJghJHBUA"
    "FQAVAgA8FggZBhkmAgQAAAAmABwVDBklBgAZSAhtZXNzYWdlcwRsaXN0B2VsZW1lbnQEcm9sZRUAFgYWYBZgJlJJHBUAFQAVAgA8Fg4ZJgYA"
    "GVYAAgAABAAAACYAHBUMGSUGABlICG1lc3NhZ2VzBGxpc3QHZWxlbWVudARuYW1lFQAWBhZMFkwmsgFJHBUAFQAVAgA8FgIZJgYAGVYAAgAC"
    "AgAAACYAHBUEGSUGABkYAW4VABYGFmIWYib+AUkcFQAVABUCADwpBhkmAAYAAAAmABwVBBklBgAZGAR3aGVuFQAWBhZiFmIm4AJJHBUAFQAV"
    "AgA8KQYZJgAGAAAAFroDFgYmCBa6AwAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGVwcAAAcAAAcAAAcAAAcAAAA8gEAAFBB"
    "UjE=";

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<unsigned>(kDigits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count);
  }
  return out;
}

class Parquet : public PrepareFixture {
 protected:
  void SetUp() override {
    try {
      open_rows(write("probe.parquet", from_base64(kFile)), FileFormat::kParquet);
    } catch (const runtime::UserError& error) {
      if (std::string_view(error.what()).find("no Parquet") != std::string_view::npos)
        GTEST_SKIP() << "this build has no Parquet";
    }
  }
};

TEST_F(Parquet, Reads) {
  const auto reader = open_rows(write("a.parquet", from_base64(kFile)), FileFormat::kParquet);
  std::vector<std::string> rows;
  Row row;
  while (reader->next(row)) rows.push_back(std::to_string(row.number) + ":" + boost::json::serialize(row.fields));
  // A struct's null is a key that is not there; a column's null is null.
  EXPECT_EQ(rows,
            (std::vector<std::string>{"1:{\"text\":\"a\",\"messages\":[{\"role\":\"user\"}],\"n\":1}",
                                      "2:{\"text\":\"é\\n\",\"messages\":[],\"n\":2}",
                                      "3:{\"text\":null,\"messages\":[{\"role\":\"bot\",\"name\":\"z\"}],\"n\":3}"}));
}

TEST_F(Parquet, ErrorsNameFileAndRow) {
  const auto& dataset = add("completion", "a.parquet", from_base64(kFile));
  EXPECT_THAT(error(), StartsWith(dataset.path + ":3: expected the field \"text\" to be a string, found null"));
}

TEST_F(Parquet, DamageIsAnErrorOfOneLine) {
  const std::string good = from_base64(kFile);
  const auto read = [&](const std::string& bytes) {
    try {
      const auto reader = open_rows(write("a.parquet", bytes), FileFormat::kParquet);
      Row row;
      while (reader->next(row)) {
      }
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), StartsWith((folder_ / "a.parquet").string()));
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
      return false;
    }
    return true;
  };
  for (std::size_t cut = 0; cut < good.size(); cut += 50) EXPECT_FALSE(read(good.substr(0, cut))) << cut;
  for (std::size_t byte = 0; byte < good.size(); byte += 3) {
    std::string bad = good;
    bad[byte] = static_cast<char>(~bad[byte]);
    read(bad);
  }
  EXPECT_FALSE(read("not parquet"));
  EXPECT_THROW(open_rows(folder_ / "none.parquet", FileFormat::kParquet), runtime::UserError);
}

}  // namespace
}  // namespace cadre::data
