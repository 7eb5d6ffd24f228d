#include "trainer/safetensors/writer.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/unit/runtime/small_disk.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::safetensors {
namespace {

NamedTensor tensor(const std::string& name, Dtype dtype, std::vector<std::int64_t> shape, const std::string& bytes) {
  return {name, {dtype, std::move(shape), std::as_bytes(std::span(bytes))}};
}

const std::string kThree = "abc", kEight = "12345678", kTwo = "xy", kNone;

std::vector<NamedTensor> sample() {
  return {tensor("a", Dtype::kU8, {3}, kThree), tensor("c", Dtype::kF32, {2, 1}, kEight),
          tensor("b", Dtype::kF32, {2}, kEight), tensor("d", Dtype::kBF16, {}, kTwo),
          tensor("e \"\n", Dtype::kF32, {0, 7}, kNone)};
}

TEST(SafetensorsWriter, WritesWhatIsReadBack) {
  const runtime::TestFolder folder;
  write(folder / "m", sample(), {{"format", "pt"}, {"note", "é\"\\"}});
  const File file(folder / "m");
  EXPECT_EQ(file.metadata().at("note"), "é\"\\");
  EXPECT_EQ(file.tensors().size(), 5u);
  for (const NamedTensor& named : sample()) {
    const TensorView* found = file.find(named.name);
    ASSERT_NE(found, nullptr) << named.name;
    EXPECT_EQ(found->dtype, named.tensor.dtype);
    EXPECT_EQ(found->shape, named.tensor.shape);
    EXPECT_TRUE(
        std::equal(found->bytes.begin(), found->bytes.end(), named.tensor.bytes.begin(), named.tensor.bytes.end()));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->bytes.data()) % size_of(found->dtype), 0u) << named.name;
  }
}

TEST(SafetensorsWriter, GivesTheSameBytesInAnyOrder) {
  const runtime::TestFolder folder;
  std::vector<NamedTensor> tensors = sample();
  write(folder / "one", tensors);
  std::reverse(tensors.begin(), tensors.end());
  write(folder / "two", tensors);
  EXPECT_EQ(runtime::get(folder / "one"), runtime::get(folder / "two"));
  const std::string header = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("c":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},)";
  EXPECT_EQ(runtime::get(folder / "one").substr(8, header.size()), header);
}

TEST(SafetensorsWriter, AsksForBytesWhenTheirTurnComes) {
  const runtime::TestFolder folder;
  std::vector<std::string> asked;
  std::string buffer;
  write(folder / "m", {{"z", Dtype::kU8, {2}}, {"y", Dtype::kF32, {1}}}, [&](const PlannedTensor& planned) {
    asked.push_back(planned.name);
    buffer.assign(planned.bytes(), planned.name[0]);
    return std::as_bytes(std::span(buffer));
  });
  EXPECT_EQ(asked, (std::vector<std::string>{"y", "z"}));
  EXPECT_EQ(std::to_integer<char>(File(folder / "m").find("z")->bytes[0]), 'z');
}

TEST(SafetensorsWriter, ChecksItsCaller) {
  const runtime::TestFolder folder;
  const std::vector<std::vector<NamedTensor>> cases{
      {tensor("a", Dtype::kU8, {3}, kThree), tensor("a", Dtype::kF32, {2}, kEight)},
      {tensor("a", Dtype::kU8, {4}, kThree)},
      {tensor("__metadata__", Dtype::kU8, {3}, kThree)}};
  for (const auto& tensors : cases) {
    EXPECT_THROW(write(folder / "m", tensors), std::logic_error);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

TEST(SafetensorsWriter, FullDiskLeavesNothing) {
  runtime::SmallDisk disk("size=64k");
  if (!disk.mounted()) GTEST_SKIP() << disk.why_not();
  const std::string big(1 << 20, 'x');
  EXPECT_THROW(write(disk.path() / "m", {tensor("a", Dtype::kU8, {1 << 20}, big)}), runtime::RunError);
  EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
}

}  // namespace
}  // namespace cadre::safetensors
