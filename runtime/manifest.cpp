#include "runtime/manifest.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <set>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "runtime/sha256.h"

namespace cadre::runtime {
namespace {

constexpr std::uint64_t kFormatVersion = 1;
constexpr std::string_view kHashField = ",\n  \"sha256\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr std::size_t kHashDigits = 64;

const boost::json::value& field(const boost::json::object& object, boost::json::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  if (!value) throw UserError(say("no field \"", std::string_view(name.data(), name.size()), "\""));
  return *value;
}

std::uint64_t number(const boost::json::object& object, boost::json::string_view name) {
  boost::json::error_code error;
  const auto value = field(object, name).to_number<std::uint64_t>(error);
  if (error) throw UserError(say("\"", std::string_view(name.data(), name.size()), "\" is not a count"));
  return value;
}

std::string text(const boost::json::object& object, boost::json::string_view name) {
  const boost::json::value& value = field(object, name);
  if (!value.is_string()) throw UserError(say("\"", std::string_view(name.data(), name.size()), "\" is not a string"));
  return std::string(value.get_string());
}

boost::json::object object_of(const boost::json::value& value, std::string_view name) {
  if (!value.is_object()) throw UserError(say("\"", name, "\" is not an object"));
  return value.get_object();
}

bool is_sha256(const std::string& digits) {
  return digits.size() == kHashDigits && digits.find_first_not_of("0123456789abcdef") == digits.npos;
}

std::vector<Shard> shards_of(const boost::json::object& manifest) {
  const boost::json::value& list = field(manifest, "shards");
  if (!list.is_array()) throw UserError("\"shards\" is not a list");
  std::vector<Shard> shards;
  std::set<std::string> names;
  for (const boost::json::value& item : list.get_array()) {
    const boost::json::object object = object_of(item, "shards");
    Shard shard{.file = text(object, "file"), .bytes = number(object, "bytes"), .sha256 = text(object, "sha256")};
    if (!is_plain_file_name(shard.file)) throw UserError("a shard's name is not a plain file name");
    if (!is_sha256(shard.sha256)) throw UserError(say("the sha256 of ", shard.file, " is not 64 hexadecimal digits"));
    if (!names.insert(shard.file).second) throw UserError(say(shard.file, " is listed twice"));
    shards.push_back(std::move(shard));
  }
  return shards;
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::string print_manifest(const Manifest& manifest) {
  boost::json::array shards;
  for (const Shard& shard : manifest.shards) {
    shards.push_back({{"file", shard.file}, {"bytes", shard.bytes}, {"sha256", shard.sha256}});
  }
  std::string body = json_pretty(boost::json::object{{"format_version", kFormatVersion},
                                                     {"run_id", manifest.run_id},
                                                     {"step", manifest.step},
                                                     {"generation", manifest.generation},
                                                     {"view", manifest.view},
                                                     {"created", manifest.created},
                                                     {"data_position", manifest.data_position},
                                                     {"shards", std::move(shards)},
                                                     {"state", manifest.state}});
  body.resize(body.size() - 2);  // "\n}" comes again after the hash
  const std::string hash = sha256_hex(body);
  return body.append(kHashField).append(hash).append(kEnd);
}

Manifest parse_manifest(const std::string& text_of_file) {
  const std::string_view whole = text_of_file;
  const std::size_t tail = kHashField.size() + kHashDigits + kEnd.size();
  if (whole.size() < tail || !whole.ends_with(kEnd) ||
      whole.substr(whole.size() - tail, kHashField.size()) != kHashField) {
    throw UserError("it is cut off, or was not written by this program");
  }
  const std::string_view body = whole.substr(0, whole.size() - tail);
  if (sha256_hex(body) != whole.substr(whole.size() - kEnd.size() - kHashDigits, kHashDigits)) {
    throw UserError("its bytes have changed since it was written: its own sha256 does not hold");
  }
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse({whole.data(), whole.size()}, error);
  if (error) throw UserError(say("not JSON: ", error.message()));
  const boost::json::object object = object_of(value, "manifest");
  const std::uint64_t version = number(object, "format_version");
  if (version != kFormatVersion) {
    throw UserError(say("its format_version is ", version, "; this program reads ", kFormatVersion));
  }
  return {.run_id = text(object, "run_id"),
          .step = number(object, "step"),
          .generation = number(object, "generation"),
          .view = number(object, "view"),
          .data_position = object_of(field(object, "data_position"), "data_position"),
          .state = object_of(field(object, "state"), "state"),
          .created = text(object, "created"),
          .shards = shards_of(object)};
}

}  // namespace cadre::runtime
