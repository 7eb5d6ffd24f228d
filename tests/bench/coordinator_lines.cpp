#include "tests/bench/coordinator_lines.h"

#include <map>
#include <memory>
#include <optional>

#include "runtime/codec.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

FrameTag tag_of(FrameSealer& sealer, std::string_view payload) {
  const auto length = static_cast<std::uint32_t>(payload.size());
  return sealer.tag({reinterpret_cast<const char*>(&length), sizeof length}, payload);
}

}  // namespace

CoordinatorLines::CoordinatorLines(std::uint32_t ranks, std::uint32_t ranks_a_line) : ranks_a_line_(ranks_a_line) {
  for (std::size_t line = 0; line <= line_of(ranks); ++line) {
    const Key up = random_bytes(), down = random_bytes();
    theirs_.emplace_back(up);
    incoming_.emplace_back(up);
    outgoing_.emplace_back(down);
  }
}

void CoordinatorLines::pack(const Messages& messages, std::vector<Frame>& frames) {
  std::map<std::size_t, Bundle> bundles;
  const auto add = [&](std::size_t line, std::string payload) {
    const FrameTag tag = tag_of(theirs_[line], payload);
    frames.push_back({line, tag, std::move(payload)});
  };
  for (const auto& [from, message] : messages) {
    if (has_relays()) {
      bundles[line_of(from)].items.push_back(
          {BundleItem::Event::kFrame, {static_cast<std::uint32_t>(from)}, encode(message)});
    } else {
      add(line_of(from), encode(message));
    }
  }
  for (const auto& [line, bundle] : bundles) add(line, encode(bundle));
}

CoordinatorLines::Messages CoordinatorLines::unpack(const std::vector<Frame>& frames) {
  Messages messages;
  const auto take = [&](Connection from, std::string_view payload) {
    std::optional<MemberMessage> message = decode_member_message(payload);
    CADRE_CHECK(message.has_value(), "no message from ", from);
    messages.emplace_back(from, std::move(*message));
  };
  for (const Frame& frame : frames) {
    CADRE_CHECK(same(frame.tag, tag_of(incoming_[frame.line], frame.payload)), "a forged frame");
    if (!has_relays()) {
      take(frame.line + 1, frame.payload);
      continue;
    }
    const std::optional<Bundle> bundle = decode_bundle(frame.payload);
    CADRE_CHECK(bundle.has_value(), "no bundle from line ", frame.line);
    for (const BundleItem& item : bundle->items) take(item.lines.front(), item.payload);
  }
  return messages;
}

// All stays until the last is tagged, as it does in the queues of the channels.
std::uint64_t CoordinatorLines::send(const Tell& tell) {
  const auto frame = std::make_shared<const std::string>(encode(tell.message));
  std::vector<std::pair<std::size_t, std::shared_ptr<const std::string>>> queued;
  if (has_relays()) {
    std::map<std::size_t, std::vector<std::uint32_t>> by_relay;
    for (const Connection to : tell.to) by_relay[line_of(to)].push_back(static_cast<std::uint32_t>(to));
    for (auto& [line, numbers] : by_relay) {
      Bundle bundle;
      bundle.items.push_back({BundleItem::Event::kFrame, std::move(numbers), *frame});
      queued.emplace_back(line, std::make_shared<const std::string>(encode(bundle)));
    }
  } else {
    for (const Connection to : tell.to) queued.emplace_back(line_of(to), frame);
  }
  std::uint64_t bytes = 0;
  for (const auto& [line, payload] : queued) {
    const FrameTag tag = tag_of(outgoing_[line], *payload);
    bytes += sizeof(std::uint32_t) + tag.size() + payload->size();
  }
  return bytes;
}

}  // namespace cadre::runtime
