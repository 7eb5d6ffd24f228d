#include "trainer/chat/text.h"

#include <utility>

#include "trainer/chat/budget.h"

namespace cadre::chat {

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  if (origin.known() && !bytes_.empty()) segments_.push_back({bytes_.size(), origin});
}

void Text::add_segment(std::uint64_t length, Origin origin) {
  if (length == 0) return;
  if (!segments_.empty() && segments_.back().origin == origin) {
    segments_.back().length += length;
  } else {
    segments_.push_back({length, origin});
  }
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  if (origin.known() || tracked()) {
    if (!tracked()) add_segment(bytes_.size(), {});
    add_segment(bytes.size(), origin);
  }
  bytes_ += bytes;
}

void Text::append(const Text& other) {
  append(other, 0, other.size());
}

void Text::append(const Text& other, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  if (!other.tracked()) {
    append(other.view().substr(begin, end - begin));
    return;
  }
  if (!tracked()) add_segment(bytes_.size(), {});
  Budget::work(other.segments_.size());
  std::size_t at = 0;
  for (const Segment& segment : other.segments_) {
    const std::size_t from = at > begin ? at : begin;
    at += segment.length;
    const std::size_t to = at < end ? at : end;
    if (from < to) add_segment(to - from, segment.origin);
    if (at >= end) break;
  }
  bytes_.append(other.bytes_, begin, end - begin);
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text out;
  out.append(*this, begin, end);
  return out;
}

Origin Text::origin_at(std::size_t at) const {
  if (!tracked()) return {};
  Budget::work(segments_.size());
  for (const Segment& segment : segments_) {
    if (at < segment.length) return segment.origin;
    at -= segment.length;
  }
  return {};
}

std::int32_t Text::sole_message() const {
  std::int32_t message = -1;
  for (const Segment& segment : segments_) {
    if (segment.origin.message < 0 || segment.origin.message == message) continue;
    if (message >= 0) return -1;
    message = segment.origin.message;
  }
  return message;
}

void Text::mark(std::int32_t turn, std::int32_t generation) {
  if (empty() || (turn < 0 && generation < 0)) return;
  if (!tracked()) add_segment(bytes_.size(), {});
  std::vector<Segment> old = std::exchange(segments_, {});
  for (Segment segment : old) {
    if (segment.origin.turn < 0) segment.origin.turn = turn;
    if (segment.origin.generation < 0) segment.origin.generation = generation;
    add_segment(segment.length, segment.origin);
  }
}

}  // namespace cadre::chat
