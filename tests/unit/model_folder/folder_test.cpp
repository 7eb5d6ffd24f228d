#include "trainer/model_folder/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/error.h"
#include "runtime/sha256.h"
#include "tests/unit/runtime/test_folder.h"
#include "trainer/model_folder/writer.h"

namespace cadre::model_folder {
namespace {

namespace fs = std::filesystem;
using runtime::get;
using runtime::put;
using runtime::TestFolder;
using safetensors::Dtype;
using safetensors::PlannedTensor;
using testing::HasSubstr;

const std::string kConfig =
    R"({"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":8,"intermediate_size":6,
  "num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"tie_word_embeddings":TIE,"torch_dtype":"float32"})";

std::string config_json(bool tied) {
  std::string text = kConfig;
  return text.replace(text.find("TIE"), 3, tied ? "true" : "false");
}

std::vector<PlannedTensor> tensors_of(const std::string& config, Dtype dtype = Dtype::kF32) {
  std::vector<PlannedTensor> tensors;
  for (const auto& [name, shape] : expected_tensors(parse_config(config, "", "c")))
    tensors.push_back({name, dtype, shape});
  return tensors;
}

// Bytes that depend on name and size only.
std::vector<std::byte> bytes_of(const PlannedTensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(tensor.name[i % tensor.name.size()] + static_cast<char>(i % 7));
  }
  return bytes;
}

void write(const fs::path& path, const std::vector<PlannedTensor>& tensors) {
  std::vector<std::byte> buffer;
  safetensors::write(path, tensors, [&](const PlannedTensor& tensor) {
    buffer = bytes_of(tensor);
    return std::span<const std::byte>(buffer);
  });
}

// A good folder, sharded or not, that a test then spoils.
struct Model {
  explicit Model(bool tied = true) : tensors(tensors_of(config_json(tied))) {
    put(folder / "config.json", config_json(tied));
    rewrite();
  }
  PlannedTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.name == name; });
  }
  void rewrite() { write(folder / "model.safetensors", tensors); }

  TestFolder folder;
  std::vector<PlannedTensor> tensors;
};

TEST(ModelFolder, OpensASingleFile) {
  Model model;
  const Folder folder = Folder::open(model.folder.path());
  EXPECT_EQ(folder.spec().hidden_size, 8);
  EXPECT_EQ(folder.spec().dtype, "float32");
  EXPECT_EQ(folder.weight_files(), std::vector<fs::path>{model.folder / "model.safetensors"});
  EXPECT_EQ(folder.config_json(), config_json(true));
  for (const PlannedTensor& tensor : model.tensors) {
    const auto& found = folder.tensor(tensor.name);
    const auto expected = bytes_of(tensor);
    EXPECT_TRUE(std::equal(found.bytes.begin(), found.bytes.end(), expected.begin(), expected.end())) << tensor.name;
  }
  EXPECT_THROW(folder.tensor("lm_head.weight"), std::logic_error);
  EXPECT_EQ(folder.sha256(),
            runtime::sha256_hex(runtime::sha256_of_file(model.folder / "config.json") + "  config.json\n" +
                                runtime::sha256_of_file(model.folder / "model.safetensors") + "  model.safetensors\n"));
}

void write_sharded(const fs::path& path, const Folder& base, const std::vector<PlannedTensor>& tensors) {
  const auto bytes_in_base = [&](const PlannedTensor& tensor) { return base.tensor(tensor.name).bytes; };
  write_model_folder(path, base, {tensors, bytes_in_base}, 500);
}

TEST(ModelFolder, OpensShardsThroughLinks) {
  Model model(false);
  const TestFolder shards;
  write_sharded(shards.path(), Folder::open(model.folder.path()), model.tensors);
  EXPECT_GT(Folder::open(shards.path()).weight_files().size(), 2u);
  // As a cache holds them: blobs elsewhere, names here.
  const TestFolder cache;
  for (const auto& entry : fs::directory_iterator(shards.path())) {
    fs::create_symlink(entry.path(), cache.path() / entry.path().filename());
  }
  const Folder folder = Folder::open(cache.path());
  EXPECT_EQ(folder.tensor("lm_head.weight").shape, (std::vector<std::int64_t>{10, 8}));
  EXPECT_EQ(folder.sha256(), Folder::open(shards.path()).sha256());
}

TEST(ModelFolder, StoredDtypeCounts) {
  Model model;
  for (PlannedTensor& tensor : model.tensors) tensor.dtype = Dtype::kBF16;
  model.rewrite();
  EXPECT_EQ(Folder::open(model.folder.path()).spec().dtype, "bfloat16");
}

TEST(ModelFolder, HarmlessExtrasAreLeftOut) {
  Model model;
  model.tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::kF32, {2}});
  model.rewrite();
  EXPECT_THROW(Folder::open(model.folder.path()).tensor("model.layers.0.self_attn.rotary_emb.inv_freq"),
               std::logic_error);
}

TEST(ModelFolder, OpensWithoutWeights) {
  const TestFolder folder;
  put(folder / "config.json", config_json(true));
  EXPECT_EQ(Folder::open(folder.path(), Weights::kNone).spec().vocab_size, 10);
  EXPECT_THROW(Folder::open(folder.path()), runtime::UserError);
}

TEST(ModelFolder, MovesWithItsTensors) {
  Model model;
  Folder one = Folder::open(model.folder.path());
  const std::byte* bytes = one.tensor("model.norm.weight").bytes.data();
  const Folder two = std::move(one);
  EXPECT_EQ(two.tensor("model.norm.weight").bytes.data(), bytes);
}

TEST(ModelFolder, RefusesBadFolders) {
  constexpr const char* kIndex = "model.safetensors.index.json";
  const auto index_with = [](const std::string& file) {
    return [file](Model& model) {
      fs::remove(model.folder / "model.safetensors");
      put(model.folder / kIndex, R"({"weight_map":{"model.norm.weight":")" + file + "\"}}");
    };
  };
  const auto index_text = [](const std::string& text) {
    return [text](Model& model) {
      fs::remove(model.folder / "model.safetensors");
      put(model.folder / kIndex, text);
    };
  };
  const auto reshape = [](const std::string& name, std::vector<std::int64_t> shape) {
    return [=](Model& model) {
      model.tensor(name).shape = shape;
      model.rewrite();
    };
  };
  struct Case {
    std::function<void(Model&)> spoil;
    std::string why;
  };
  const std::vector<Case> cases{
      {[](Model& m) { fs::remove(m.folder / "config.json"); }, "config.json: cannot be read: No such file"},
      {[](Model& m) { fs::rename(m.folder / "config.json", m.folder / "adapter_config.json"); },
       "expected a model folder, found an adapter; give the folder of its base model as base_model"},
      {[](Model& m) {
         fs::remove(m.folder / "config.json");
         fs::create_directory(m.folder / "config.json");
       },
       "config.json: expected a file, found a folder"},
      {[](Model& m) { put(m.folder / "config.json", "{"); }, "config.json:1:2: not valid JSON"},
      {[](Model& m) { put(m.folder / "config.json", std::string(9 << 20, ' ')); }, "at most 8388608 are read"},
      {[](Model& m) { put(m.folder / "generation_config.json", "[1"); }, "generation_config.json:1:3: not valid JSON"},
      {[](Model& m) { fs::remove(m.folder / "model.safetensors"); },
       "found neither; fetch the weights into this folder"},
      {[](Model& m) { fs::rename(m.folder / "model.safetensors", m.folder / "pytorch_model.bin"); },
       "found pytorch_model.bin, which is not read; save the model as safetensors"},
      {[](Model& m) { put(m.folder / "model.safetensors", ""); },
       "model.safetensors: expected a safetensors file, found 0"},
      {[](Model& m) { fs::resize_file(m.folder / "model.safetensors", 100); },
       "model.safetensors: byte 0: the header claims"},
      {[](Model& m) {
         fs::resize_file(m.folder / "model.safetensors", fs::file_size(m.folder / "model.safetensors") - 1);
       },
       "pass the end of the data"},
      {[](Model& m) {
         fs::remove(m.folder / "model.safetensors");
         fs::create_symlink("nowhere", m.folder / "model.safetensors");
       },
       "model.safetensors: cannot be read: No such file"},
      {[](Model& m) {
         fs::remove(m.folder / "model.safetensors");
         fs::create_directory(m.folder / "model.safetensors");
       },
       "expected a file, found a folder"},
      {[](Model& m) {
         m.tensors.erase(m.tensors.begin());
         m.rewrite();
       },
       "tensor \"model.embed_tokens.weight\" is missing"},
      {[](Model& m) {
         m.tensors.resize(1);
         m.rewrite();
       },
       "more are missing"},
      {[](Model& m) {
         for (auto& tensor : m.tensors) tensor.name = tensor.name.substr(6);
         m.rewrite();
       },
       "those of a model without its head"},
      {[](Model& m) { put(m.folder / "config.json", config_json(false)); },
       "tensor \"lm_head.weight\" is missing; config.json says tie_word_embeddings: false"},
      {reshape("model.norm.weight", {9}),
       "tensor \"model.norm.weight\": expected the shape [8] by config.json, found [9]"},
      {reshape("model.norm.weight", {8, 1}), "expected the shape [8] by config.json, found [8, 1]"},
      {reshape("model.embed_tokens.weight", {8, 10}), "expected the shape [10, 8] by config.json, found [8, 10]"},
      {reshape("model.layers.1.mlp.up_proj.weight", {0, 8}), "expected the shape [6, 8] by config.json, found [0, 8]"},
      {[](Model& m) {
         m.tensor("model.norm.weight").dtype = Dtype::kI32;
         m.rewrite();
       },
       "tensor \"model.norm.weight\": expected F32, BF16 or F16, found I32"},
      {[](Model& m) {
         m.tensor("model.norm.weight").dtype = Dtype::kF64;
         m.rewrite();
       },
       "found F64"},
      {[](Model& m) {
         m.tensors.push_back({"model.layers.2.mlp.up_proj.weight", Dtype::kF32, {6, 8}});
         m.rewrite();
       },
       "tensor \"model.layers.2.mlp.up_proj.weight\": config.json has no place for it in LlamaForCausalLM"},
      {[](Model& m) {
         m.tensors.push_back({"model.layers.0.self_attn.q_proj.bias", Dtype::kF32, {8}});
         m.rewrite();
       },
       "has no place for it"},
      {[](Model& m) {
         m.tensors.push_back({"lm_head.weight", Dtype::kF32, {10, 8}});
         m.rewrite();
       },
       "tensor \"lm_head.weight\": differs from model.embed_tokens.weight, though config.json ties them"},
      {index_text("[]"), "index.json: expected a JSON object, found []"},
      {index_text("{}"), "index.json: weight_map: expected an object of tensor names and files, found nothing"},
      {index_text(R"({"weight_map":{}})"), "index.json: weight_map: names no tensor"},
      {index_text(R"({"weight_map":{"a":1}})"), "weight_map: expected a file name for \"a\", found 1"},
      {index_with("../model.safetensors"), "expected the name of a .safetensors file in this folder for"},
      {index_with("/etc/model.safetensors"), "found \"/etc/model.safetensors\""},
      {index_with("sub/model.safetensors"), "found \"sub/model.safetensors\""},
      {index_with("config.json"), "found \"config.json\""},
      {index_with("model-1.safetensors"), "model-1.safetensors: cannot be read: No such file"},
      {[](Model& m) {
         fs::rename(m.folder / "model.safetensors", m.folder / "a.safetensors");
         put(m.folder / kIndex, R"({"weight_map":{"model.norm.bias":"a.safetensors"}})");
       },
       "index.json: tensor \"model.norm.bias\" is not in a.safetensors, where weight_map says it is"},
      {[](Model& m) {
         fs::rename(m.folder / "model.safetensors", m.folder / "a.safetensors");
         fs::copy_file(m.folder / "a.safetensors", m.folder / "b.safetensors");
         put(m.folder / kIndex,
             R"({"weight_map":{"model.norm.weight":"a.safetensors","model.embed_tokens.weight":"b.safetensors"}})");
       },
       "b.safetensors: tensor \"model.embed_tokens.weight\" is also in a.safetensors"}};
  for (const Case& one : cases) {
    Model model;
    one.spoil(model);
    try {
      Folder::open(model.folder.path());
      ADD_FAILURE() << "accepted; expected: " << one.why;
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.why));
      EXPECT_THAT(error.what(), HasSubstr(model.folder.path().string()));
    }
  }
}

TEST(ModelFolder, NamesWhatIsNoFolder) {
  const TestFolder folder;
  put(folder / "file", "");
  for (const auto& [name, why] : std::map<std::string, std::string>{
           {"none", "expected a model folder, found nothing"}, {"file", "expected a model folder, found a file"}}) {
    try {
      Folder::open(folder / name);
      ADD_FAILURE();
    } catch (const runtime::UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }
}

TEST(ModelFolder, ExpectedTensorsOfEachKind) {
  const auto of = [](const std::string& architecture, const std::string& more) {
    return expected_tensors(parse_config(
        R"({"architectures":[")" + architecture +
            R"("],"vocab_size":10,"hidden_size":8,"intermediate_size":6,"num_hidden_layers":1,"num_attention_heads":2,)"
            R"("num_key_value_heads":1,"head_dim":4)" +
            more + "}",
        "", "c"));
  };
  const auto llama = of("LlamaForCausalLM", R"(,"attention_bias":true,"mlp_bias":true)");
  EXPECT_EQ(llama.size(), 1u + 9 + 7 + 1 + 1);
  EXPECT_EQ(llama.at("model.layers.0.self_attn.k_proj.bias"), std::vector<std::int64_t>{4});
  EXPECT_EQ(llama.at("model.layers.0.mlp.down_proj.weight"), (std::vector<std::int64_t>{8, 6}));
  const auto qwen2 = of("Qwen2ForCausalLM", "");
  EXPECT_TRUE(qwen2.contains("model.layers.0.self_attn.v_proj.bias"));
  EXPECT_FALSE(qwen2.contains("model.layers.0.self_attn.o_proj.bias"));
  const auto phi3 = of("Phi3ForCausalLM", "");
  EXPECT_EQ(phi3.at("model.layers.0.self_attn.qkv_proj.weight"), (std::vector<std::int64_t>{16, 8}));
  EXPECT_EQ(phi3.at("model.layers.0.mlp.gate_up_proj.weight"), (std::vector<std::int64_t>{12, 8}));
  const auto gemma3 = of("Gemma3ForCausalLM", "");
  EXPECT_FALSE(gemma3.contains("lm_head.weight"));
  EXPECT_EQ(gemma3.at("model.layers.0.self_attn.q_norm.weight"), std::vector<std::int64_t>{4});
  EXPECT_TRUE(gemma3.contains("model.layers.0.pre_feedforward_layernorm.weight"));
}

}  // namespace
}  // namespace cadre::model_folder
