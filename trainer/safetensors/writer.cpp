#include "trainer/safetensors/writer.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <utility>

#include "runtime/atomic_file.h"
#include "runtime/error.h"

namespace cadre::safetensors {
namespace {

std::string json_text(const std::string& text) {
  return boost::json::serialize(boost::json::string_view(text));
}

std::string header_of(const std::vector<PlannedTensor>& tensors, const Metadata& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) json += json_text(key) + ":" + json_text(value) + ",";
    json.back() = '}';
    json += ",";
  }
  std::uint64_t begin = 0;
  for (const PlannedTensor& tensor : tensors) {
    json += json_text(tensor.name) + ":{\"dtype\":\"" + std::string(name_of(tensor.dtype)) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) json += (i ? "," : "") + std::to_string(tensor.shape[i]);
    const std::uint64_t end = begin + tensor.bytes();
    json += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]},";
    begin = end;
  }
  if (json.back() == ',') json.pop_back();
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');  // the data begin aligned
  return json;
}

void write_planned(const Sink& sink, std::vector<PlannedTensor> tensors, const TensorBytes& bytes_of,
                   const Metadata& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const PlannedTensor& a, const PlannedTensor& b) {
    const std::size_t wide_a = size_of(a.dtype), wide_b = size_of(b.dtype);
    return wide_a != wide_b ? wide_a > wide_b : a.name < b.name;
  });
  for (const PlannedTensor& tensor : tensors) {
    CADRE_CHECK(tensor.name != "__metadata__" &&
                    std::all_of(tensor.shape.begin(), tensor.shape.end(), [](std::int64_t size) { return size >= 0; }),
                tensor.name);
  }
  // Equal names may lie apart where their dtypes differ.
  std::vector<std::string_view> names;
  for (const PlannedTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  CADRE_CHECK(twice == names.end(), "two tensors have the name ", *twice);

  const std::string header = header_of(tensors, metadata);
  std::array<char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  sink(std::as_bytes(std::span(length)));
  sink(std::as_bytes(std::span(header)));
  for (const PlannedTensor& tensor : tensors) {
    const std::span<const std::byte> bytes = bytes_of(tensor);
    CADRE_CHECK(bytes.size() == tensor.bytes(), tensor.name, " has ", bytes.size(), " bytes of ", tensor.bytes());
    sink(bytes);
  }
}

void write_named(const Sink& sink, const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  std::vector<PlannedTensor> planned;
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const NamedTensor& named : tensors) {
    planned.push_back({named.name, named.tensor.dtype, named.tensor.shape});
    bytes[named.name] = named.tensor.bytes;
  }
  write_planned(
      sink, std::move(planned), [&](const PlannedTensor& tensor) { return bytes.at(tensor.name); }, metadata);
}

void write_file(const std::filesystem::path& path, const std::function<void(const Sink&)>& fill) {
  runtime::AtomicFile file(path);
  fill([&](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

}  // namespace

std::uint64_t PlannedTensor::bytes() const {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t size : shape) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

void write(const std::filesystem::path& path, std::vector<PlannedTensor> tensors, const TensorBytes& bytes_of,
           const Metadata& metadata) {
  write_file(path, [&](const Sink& sink) { write_planned(sink, std::move(tensors), bytes_of, metadata); });
}

void write(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  write_file(path, [&](const Sink& sink) { write_named(sink, tensors, metadata); });
}

void write_to(const Sink& sink, const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  write_named(sink, tensors, metadata);
}

}  // namespace cadre::safetensors
