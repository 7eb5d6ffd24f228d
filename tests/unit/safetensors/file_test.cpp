#include "trainer/safetensors/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "runtime/cut_files.h"
#include "runtime/error.h"
#include "tests/unit/runtime/test_folder.h"
#include "trainer/safetensors/writer.h"

namespace cadre::safetensors {
namespace {

using testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& data, std::uint64_t claimed) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(claimed >> (8 * i));
  return file + header + data;
}

std::string file_of(const std::string& header, const std::string& data = "") {
  return file_of(header, data, header.size());
}

Header parse_text(const std::string& text) {
  return parse(std::as_bytes(std::span(text)), "f");
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const Header header = parse_text(file_of(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[3,11]},)"
      R"("a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"e":{"shape":[0,5],"data_offsets":[3,3],"dtype":"BF16"},)"
      R"("s":{"dtype":"I64","shape":[],"data_offsets":[11,19]}}   )",
      "abc12345678ssssssss"));
  EXPECT_EQ(header.metadata.at("format"), "pt");
  ASSERT_EQ(header.tensors.size(), 4u);
  const TensorView& b = header.tensors.at("b");
  EXPECT_EQ(b.dtype, Dtype::kF32);
  EXPECT_EQ(b.shape, std::vector<std::int64_t>{2});
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b.bytes.data()), b.bytes.size()), "12345678");
  EXPECT_EQ(header.tensors.at("e").elements(), 0);
  EXPECT_EQ(header.tensors.at("s").elements(), 1);
  EXPECT_TRUE(parse_text(file_of("{}")).tensors.empty());
}

std::string one(const std::string& fields) {
  return "{\"a\":{" + fields + "}}";
}
std::string spec(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return one("\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
}

TEST(Safetensors, RefusesMalformedFiles) {
  const std::string good = R"("dtype":"U8","shape":[4],"data_offsets":[0,4])";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "f: expected a safetensors file, found 0 bytes"},
      {"1234567", "found 7 bytes; it is cut off"},
      {file_of("", "", 8), "f: byte 0: the header claims 8 bytes, the file has 0"},
      {file_of("{}", "", 3), "the header claims 3 bytes, the file has 2"},
      {file_of("{}", "", 100'000'001), "at most 100000000 are allowed"},
      {file_of("{}", "", ~std::uint64_t{0}), "at most 100000000 are allowed"},
      {file_of(""), "f: byte 8: the header is not the JSON"},
      {file_of("{"), "the header is not the JSON"},
      {file_of("[]"), "expected an object of tensors, found an array"},
      {file_of("7"), "expected an object of tensors, found 7"},
      {file_of("{}{}"), "f: byte 10: something follows the end"},
      {file_of("{\"a\":1}"), "expected an object for \"a\", found 1"},
      {file_of("{\"a\":[]}"), "expected an object for \"a\", found an array"},
      {file_of("{\"a\":{\"shape\":{}}}"), "expected an array for shape of \"a\", found an object"},
      {file_of("{\"a\":{\"shape\":[[1]]}}"), "f: byte 23: the header is not the JSON of a safetensors file: too deep"},
      {file_of("{\"a\":{\"shape\":[[[[1]]]]}}"), "too deep"},
      {file_of("{\"a\":{\"shape\":[\"1\"]}}"), "in the shape of \"a\", found the text \"1\""},
      {file_of(one(good.substr(0, good.rfind(',', good.rfind('[')))), "1234"), "tensor \"a\" has no data_offsets"},
      {file_of(one(R"("shape":[4],"data_offsets":[0,4])"), "1234"), "tensor \"a\" has no dtype"},
      {file_of(one(R"("dtype":"U8","data_offsets":[0,4])"), "1234"), "tensor \"a\" has no shape"},
      {file_of(one(good + R"(,"extra":1)"), "1234"), "unknown field \"extra\""},
      {file_of(one(good + R"(,"dtype":"U8")"), "1234"), "has dtype twice"},
      {file_of("{\"a\":{" + good + "},\"a\":{" + good + "}}", "1234"), "the name \"a\" appears twice"},
      {file_of("{\"a\":{" + good + "},\"\\u0061\":{" + good + "}}", "1234"), "the name \"a\" appears twice"},
      {file_of(R"({"__metadata__":{"k":"v","k":"w"}})"), "has the key \"k\" twice"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})"), "\"__metadata__\" appears twice"},
      {file_of(R"({"__metadata__":{"k":1}})"), "expected a text for \"k\" in __metadata__, found 1"},
      {file_of(R"({"__metadata__":{"k":{}}})"), "in __metadata__, found an object"},
      {file_of(spec("F8_E4M3", "[4]", "[0,4]"), "1234"), "has the dtype \"F8_E4M3\", which is not supported"},
      {file_of(spec("f32", "[1]", "[0,4]"), "1234"), "has the dtype \"f32\""},
      {file_of(spec("U8", "[-4]", "[0,4]"), "1234"), "in the shape of \"a\", found -4"},
      {file_of(spec("U8", "[4.0]", "[0,4]"), "1234"), "in the shape of \"a\", found 4"},
      {file_of(spec("U8", "[18446744073709551615]", "[0,4]"), "1234"), "which is too large"},
      {file_of(spec("U8", "[99999999999999999999]", "[0,4]"), "1234"), "found 1e+20"},
      {file_of(spec("U8", "[4294967296,4294967296]", "[0,4]"), "1234"), "is too large for any file"},
      {file_of(spec("F32", "[4611686018427387904]", "[0,4]"), "1234"), "is too large for any file"},
      {file_of(spec("U8", "[0,4611686018427387904,4]", "[0,4]"), "1234"), "is too large for any file"},
      {file_of(spec("U8", "[4]", "[4,0]"), "1234"), "end before they begin"},
      {file_of(spec("U8", "[4]", "[1,5]"), "1234"), "pass the end of the data (4 bytes)"},
      {file_of(spec("U8", "[4]", "[18446744073709551612,18446744073709551615]"), "1234"), "pass the end of the data"},
      {file_of(spec("U8", "[4]", "[-1,3]"), "1234"), "found -1"},
      {file_of(spec("U8", "[4]", "[0]"), "1234"), "holds 1 numbers, not 2"},
      {file_of(spec("U8", "[4]", "[0,4,4]"), "1234"), "holds more than 2 numbers"},
      {file_of(spec("U8", "[3]", "[0,4]"), "1234"), "takes 3 bytes, data_offsets [0, 4] give it 4"},
      {file_of(spec("F32", "[4]", "[0,4]"), "1234"), "takes 16 bytes"},
      {file_of(spec("U8", "[4]", "[0,4]"), "12345"), "the tensors end at byte 4 of the data, the file has 5"},
      {file_of(spec("U8", "[4]", "[1,5]"), "12345"), "expected 0: there is a hole before it"},
      {file_of("{\"a\":{" + good + R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", "123456"),
       "tensor \"b\": begins at byte 2 of the data, expected 4: it overlaps"},
      {file_of("{\"a\xff\":{" + good + "}}", "1234"), "the header is not the JSON"},
      {file_of("{\"a\":null}"), "expected an object for \"a\", found null"},
      {file_of("{\"a\":true}"), "expected an object for \"a\", found true"},
      {file_of("{\"a\":{\"shape\":[" +
               std::string(129, '1').replace(1, 128,
                                             [] {
                                               std::string ones;
                                               for (int i = 0; i < 64; ++i) ones += ",1";
                                               return ones;
                                             }()) +
               "]}}"),
       "more than 64 dimensions"},
      {file_of(std::string(100000, '[')), "expected an object of tensors, found an array"},
      {file_of("{\"a\":" + std::string(100000, '{')), "the header is not the JSON"}};
  for (const auto& [file, why] : cases) {
    try {
      parse_text(file);
      ADD_FAILURE() << "accepted: " << file.substr(0, 200) << "\nexpected: " << why;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << file.substr(0, 200);
      EXPECT_THAT(error.what(), testing::StartsWith("f: "));
    }
  }
}

TEST(Safetensors, MapsAFile) {
  const runtime::TestFolder folder;
  runtime::put(folder / "m.safetensors", file_of(spec("U8", "[4]", "[0,4]"), "1234"));
  File file(folder / "m.safetensors");
  ASSERT_NE(file.find("a"), nullptr);
  EXPECT_EQ(file.find("b"), nullptr);
  const std::byte* bytes = file.find("a")->bytes.data();
  const File moved = std::move(file);
  EXPECT_EQ(moved.find("a")->bytes.data(), bytes);
}

unsigned touch_a_cut_tensor(const std::filesystem::path& path) {
  runtime::end_with_a_word_on_cut_files();
  const File file(path);
  std::filesystem::resize_file(path, 200);
  unsigned sum = 0;
  for (const std::byte byte : file.find("a")->bytes) sum += std::to_integer<unsigned>(byte);
  return sum;
}

TEST(SafetensorsFileDeathTest, IsNamedWhenItIsCutAfterItWasOpened) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const runtime::TestFolder folder;
  const std::string content(50000, 'x');
  write(folder / "model.safetensors", {{"a", {Dtype::kU8, {50000}, std::as_bytes(std::span(content))}}});
  // The sum is used, so that the bytes are read.
  EXPECT_EXIT(std::printf("%u", touch_a_cut_tensor(folder / "model.safetensors")), testing::ExitedWithCode(1),
              "/model.safetensors: was cut short");
}

}  // namespace
}  // namespace cadre::safetensors
