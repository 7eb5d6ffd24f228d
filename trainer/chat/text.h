// Bytes that remember where they came from. Every string that a template handles is a Text, so that the output tells
// for each byte which message it was taken from, in which turn it was written and whether in a {% generation %} block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::chat {

struct Origin {
  std::int32_t message = -1;     // whose content the bytes are; -1: the template's own
  std::int32_t turn = -1;        // the loop iteration that wrote them (an index of the renderer's); -1: none
  std::int32_t generation = -1;  // the {% generation %} block that wrote them; -1: none

  bool operator==(const Origin&) const = default;
  bool known() const { return message >= 0 || turn >= 0 || generation >= 0; }
};

struct Segment {
  std::uint64_t length = 0;
  Origin origin;
};

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, Origin origin = {});

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // In order, lengths summing to size(); empty where no byte has a known origin (the usual, fast case).
  const std::vector<Segment>& segments() const { return segments_; }
  bool tracked() const { return !segments_.empty(); }

  void append(std::string_view bytes, Origin origin = {});
  void append(const Text& other);
  // Bytes [begin, end) of `other`.
  void append(const Text& other, std::size_t begin, std::size_t end);
  Text slice(std::size_t begin, std::size_t end) const;
  Origin origin_at(std::size_t at) const;
  // The message of all tracked bytes where they share one; -1 otherwise.
  std::int32_t sole_message() const;
  // Fills in what is not known yet of each byte: the turn, the generation block.
  void mark(std::int32_t turn, std::int32_t generation);

 private:
  void add_segment(std::uint64_t length, Origin origin);

  std::string bytes_;
  std::vector<Segment> segments_;
};

}  // namespace cadre::chat
