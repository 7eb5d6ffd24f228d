// What a host's relay and the coordinator say to each other: the frames of several ranks as one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::runtime {

struct BundleItem {
  enum class Event : std::uint8_t {
    kOpen,   // payload: the rank's address, for people
    kFrame,  // payload: an encoded message
    kClose,  // no payload
  };
  Event event = Event::kFrame;
  std::vector<std::uint32_t> lines = {};  // the relay's numbers of its ranks' connections, never used again
  std::string payload = {};

  bool operator==(const BundleItem&) const = default;
};

struct Bundle {
  std::vector<BundleItem> items = {};

  bool operator==(const Bundle&) const = default;
};

// As in codec.h.
std::string encode(const Bundle& bundle);
std::optional<Bundle> decode_bundle(std::string_view bytes);

}  // namespace cadre::runtime
