#include "launch/boot.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <span>

#include "runtime/error.h"
#include "runtime/hex.h"

namespace cadre::launch {
namespace {

// The token is bytes; JSON holds text.
std::span<const unsigned char> bytes_in(const std::string& text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

std::string from_hex(const std::string& text) {
  std::string bytes;
  const std::string_view digits = runtime::kHexDigits;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const std::size_t high = digits.find(text[i]), low = digits.find(text[i + 1]);
    if (high == digits.npos || low == digits.npos)
      throw runtime::UserError("boot message: the token is not hexadecimal");
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string text_in(const boost::json::object& object, const char* name) {
  return std::string(object.at(name).as_string());
}

}  // namespace

std::string print_boot(const Boot& boot) {
  boost::json::array coordinator;
  for (const runtime::Endpoint& endpoint : boot.coordinator) {
    coordinator.push_back({{"address", endpoint.address}, {"port", endpoint.port}});
  }
  return boost::json::serialize(boost::json::object{{"run_id", boot.run_id},
                                                    {"token", runtime::hex_of(bytes_in(boot.token))},
                                                    {"coordinator", std::move(coordinator)},
                                                    {"island", boot.island},
                                                    {"first_rank", boot.first_rank},
                                                    {"first_on_host", boot.first_on_host},
                                                    {"ranks_on_host", boot.ranks_on_host},
                                                    {"configuration", boot.configuration},
                                                    {"chat_template_date", boot.chat_template_date},
                                                    {"prepared_key", boot.prepared_key},
                                                    {"trace", boot.trace},
                                                    {"relay_above", boot.relay_above}});
}

Boot parse_boot(const std::string& text) {
  if (text.size() > kMaxBootBytes) {
    throw runtime::UserError(
        runtime::say("boot message: expected at most ", kMaxBootBytes, " bytes, found ", text.size()));
  }
  try {
    const boost::json::object object = boost::json::parse(text).as_object();
    Boot boot{.run_id = text_in(object, "run_id"),
              .token = from_hex(text_in(object, "token")),
              .coordinator = {},
              .island = object.at("island").to_number<std::uint32_t>(),
              .first_rank = object.at("first_rank").to_number<std::uint32_t>(),
              .first_on_host = object.at("first_on_host").to_number<std::uint32_t>(),
              .ranks_on_host = object.at("ranks_on_host").to_number<std::uint32_t>(),
              .configuration = text_in(object, "configuration"),
              .chat_template_date = text_in(object, "chat_template_date"),
              .prepared_key = text_in(object, "prepared_key"),
              .trace = object.at("trace").as_bool(),
              .relay_above = object.at("relay_above").to_number<std::uint32_t>()};
    for (const boost::json::value& endpoint : object.at("coordinator").as_array()) {
      boot.coordinator.push_back(
          {text_in(endpoint.as_object(), "address"), endpoint.at("port").to_number<std::uint16_t>()});
    }
    return boot;
  } catch (const runtime::UserError&) {
    throw;
  } catch (const std::exception& error) {
    throw runtime::UserError(std::string("boot message: ") + error.what());
  }
}

}  // namespace cadre::launch
