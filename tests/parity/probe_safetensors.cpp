// probe_safetensors read FILE        one line a tensor: name, dtype, shape, sha256 of its bytes; then the metadata
// probe_safetensors copy FILE COPY   the same tensors, written anew
// An error of the file goes to stderr with exit code 2.
#include <iostream>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/sha256.h"
#include "trainer/safetensors/writer.h"

namespace {

using namespace cadre;

void print(const safetensors::File& file) {
  for (const auto& [name, tensor] : file.tensors()) {
    boost::json::array shape(tensor.shape.begin(), tensor.shape.end());
    const boost::json::object line{{"name", name},
                                   {"dtype", name_of(tensor.dtype)},
                                   {"shape", shape},
                                   {"sha256", runtime::Sha256().update(tensor.bytes).hex()}};
    std::cout << runtime::json_line(line) << "\n";
  }
  boost::json::object metadata;
  for (const auto& [key, value] : file.metadata()) metadata[key] = value;
  std::cout << runtime::json_line(boost::json::object{{"metadata", metadata}}) << "\n";
}

void copy(const safetensors::File& file, const std::string& path) {
  std::vector<safetensors::NamedTensor> tensors;
  for (const auto& [name, tensor] : file.tensors()) tensors.push_back({name, tensor});
  safetensors::write(path, tensors, {file.metadata().begin(), file.metadata().end()});
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    if (words.size() == 2 && words[0] == "read") {
      print(safetensors::File(words[1]));
    } else if (words.size() == 3 && words[0] == "copy") {
      copy(safetensors::File(words[1]), words[2]);
    } else {
      std::cerr << "usage: probe_safetensors read FILE | copy FILE COPY\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
