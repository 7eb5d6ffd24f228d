#include "trainer/model_folder/writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "runtime/error.h"
#include "tests/unit/runtime/test_folder.h"

namespace cadre::model_folder {
namespace {

using runtime::get;
using runtime::put;
using runtime::TestFolder;
using safetensors::Dtype;
using Names = std::vector<std::string>;

// Tensors of bytes that are their name's first letter, made in one place again and again.
ModelTensors tensors(Dtype dtype = Dtype::kU8) {
  const auto bytes_of = [made = std::make_shared<std::string>()](const safetensors::PlannedTensor& tensor) {
    made->assign(tensor.bytes(), tensor.name.front());
    return std::as_bytes(std::span(*made));
  };
  return {{{"b", dtype, {6}}, {"a", dtype, {5}}, {"big", dtype, {12}}, {"c", dtype, {1}}}, bytes_of};
}

std::string text_of(const safetensors::File& file, const char* name) {
  const std::span<const std::byte> bytes = file.find(name)->bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Names names_in(const std::filesystem::path& folder) {
  Names names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

struct BaseFolder {
  BaseFolder() {
    put(folder / "config.json", R"({"model_type": "llama",  "dtype": "float32"})");
    for (const char* name : {"generation_config.json", "tokenizer.json", "chat_template.jinja"})
      put(folder / name, "{}");
    put(folder / "README.md", "not copied");
    std::filesystem::create_directory(folder / "additional_chat_templates");
    put(folder / "additional_chat_templates/tool.jinja", "tool");
    put(folder / "additional_chat_templates/notes.txt", "not copied");
  }
  Folder open() const { return Folder::open(folder.path(), Weights::kNone); }

  TestFolder folder;
};

TEST(ModelFolderWriter, SplitsInOrder) {
  using Shards = std::vector<std::vector<std::size_t>>;
  EXPECT_EQ(split_into_shards({5, 6, 12, 1}, 100), (Shards{{0, 1, 2, 3}}));
  EXPECT_EQ(split_into_shards({5, 6, 12, 1}, 24), (Shards{{0, 1, 2, 3}}));
  EXPECT_EQ(split_into_shards({5, 6, 12, 1}, 23), (Shards{{0, 1, 2}, {3}}));
  EXPECT_EQ(split_into_shards({5, 6, 12, 1}, 11), (Shards{{0, 1}, {2}, {3}}));
  EXPECT_EQ(split_into_shards({5, 6, 12, 1}, 1), (Shards{{0}, {1}, {2}, {3}}));
}

TEST(ModelFolderWriter, WritesAnIndexBesideShards) {
  const BaseFolder base;
  const TestFolder result;
  const Names names = write_model_folder(result / "new/model", base.open(), tensors(), 11);
  EXPECT_EQ(names,
            (Names{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                   "model-00003-of-00003.safetensors", "config.json", "generation_config.json", "tokenizer.json",
                   "chat_template.jinja", "additional_chat_templates/tool.jinja", "model.safetensors.index.json"}));
  for (const std::string& name : names) EXPECT_TRUE(std::filesystem::is_regular_file(result / "new/model" / name));
  EXPECT_EQ(names_in(result / "new/model").size(), names.size());
  EXPECT_EQ(names_in(result / "new/model/additional_chat_templates"), Names{"tool.jinja"});
  EXPECT_EQ(get(result / "new/model/config.json"), get(base.folder / "config.json"));
  EXPECT_EQ(get(result / "new/model/model.safetensors.index.json"), R"({
  "metadata": {
    "total_parameters": 24,
    "total_size": 24
  },
  "weight_map": {
    "a": "model-00001-of-00003.safetensors",
    "b": "model-00001-of-00003.safetensors",
    "big": "model-00002-of-00003.safetensors",
    "c": "model-00003-of-00003.safetensors"
  }
}
)");
}

TEST(ModelFolderWriter, HoldsOneTensorAtATime) {
  const BaseFolder base;
  const TestFolder result;
  write_model_folder(result.path(), base.open(), tensors(), 11);
  const safetensors::File first(result / "model-00001-of-00003.safetensors");
  EXPECT_EQ(text_of(first, "a"), "aaaaa");
  EXPECT_EQ(text_of(first, "b"), "bbbbbb");
  EXPECT_EQ(text_of(safetensors::File(result / "model-00002-of-00003.safetensors"), "big"), "bbbbbbbbbbbb");
  EXPECT_EQ(text_of(safetensors::File(result / "model-00003-of-00003.safetensors"), "c"), "c");
}

TEST(ModelFolderWriter, SaysWhatTheWeightsAreStoredIn) {
  const BaseFolder base;
  const TestFolder result;
  write_model_folder(result.path(), base.open(), tensors(Dtype::kBF16));
  EXPECT_EQ(get(result / "config.json"), "{\n  \"model_type\": \"llama\",\n  \"dtype\": \"bfloat16\"\n}\n");
}

TEST(ModelFolderWriter, ReplacesOtherWeights) {
  const BaseFolder base;
  const TestFolder result;
  put(result / "model-notes.txt", "kept");
  const auto weights = [&] {
    Names names = names_in(result.path());
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("model"); });
    return names;
  };
  write_model_folder(result.path(), base.open(), tensors(), 11);
  write_model_folder(result.path(), base.open(), tensors());
  EXPECT_EQ(weights(), (Names{"model-notes.txt", "model.safetensors"}));
  write_model_folder(result.path(), base.open(), tensors(), 23);
  EXPECT_EQ(weights(), (Names{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model-notes.txt",
                              "model.safetensors.index.json"}));
}

TEST(ModelFolderWriter, LeavesTheBaseAlone) {
  const BaseFolder base;
  EXPECT_THROW(write_model_folder(base.folder / "../" / base.folder.path().filename(), base.open(), tensors()),
               runtime::UserError);
  EXPECT_EQ(copy_tokenizer_files(base.folder.path(), base.folder.path()),
            (Names{"tokenizer.json", "chat_template.jinja", "additional_chat_templates/tool.jinja"}));
  EXPECT_EQ(get(base.folder / "tokenizer.json"), "{}");
}

}  // namespace
}  // namespace cadre::model_folder
