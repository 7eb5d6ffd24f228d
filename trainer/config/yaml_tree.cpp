#include "trainer/config/yaml_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <map>
#include <optional>
#include <streambuf>
#include <unordered_set>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/utf8.h"

namespace cadre::config {
namespace {

using runtime::say;
using runtime::UserError;
using Kind = YamlNode::Kind;

// yaml-cpp scans ahead for as long as a bracket might still turn out to open a key, at 200 bytes of memory a bracket.
// Text is handed out in pieces, and no more of it than kMaxLookAhead after the last event.
class BoundedText : public std::streambuf {
 public:
  BoundedText(const std::string& text, const std::string& source) : text_(text), source_(source) {}

  void event(int line) { line_ = line, last_event_ = given_; }

 protected:
  int_type underflow() override {
    constexpr std::size_t kPiece = 4096;
    if (given_ == text_.size()) return traits_type::eof();
    if (given_ - last_event_ > kMaxLookAhead)
      throw UserError(say(source_, ":", line_, ": expected a value or the end of one within ", kMaxLookAhead >> 10,
                          " KB; a list or map is not closed, or a text too long"));
    const std::size_t size = std::min(kPiece, text_.size() - given_);
    char* const begin = const_cast<char*>(text_.data()) + given_;  // a get area is never written to
    setg(begin, begin, begin + size);
    given_ += size;
    return traits_type::to_int_type(*begin);
  }

 private:
  const std::string& text_;
  const std::string& source_;
  std::size_t given_ = 0, last_event_ = 0;
  int line_ = 1;
};

// What a subtree holds once its aliases are expanded.
struct Cost {
  std::size_t values = 1, bytes = 0;
  int height = 1;
};

// Builds the tree from the parser's events and throws from inside them, so that the parser never goes deeper than
// kMaxDepth and an alias is measured before it is copied.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::shared_ptr<const std::string> source, BoundedText& input, bool in_file)
      : source_(std::move(source)), input_(input), in_file_(in_file) {}

  std::optional<YamlNode> take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(at(mark), "expected one YAML document, found a second one; keep one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.place = at(mark);
    arrive(std::move(node), {}, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.kind = Kind::kScalar;
    node.place = at(mark);
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str")
      fail(node.place, say("found the tag `", shown(tag), "`; tags are not read here: remove it"));
    node.plain = tag == "?";
    node.text = value;
    for (const char c : value)
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F)
        fail(node.place, say("expected text, found the control character ", int{c}, " in it; remove it"));
    arrive(std::move(node), {.values = 1, .bytes = value.size(), .height = 1}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(at(mark), "an alias inside the value that it stands for; write the value out");
    const auto& [node, cost] = found->second;
    count(cost, at(mark));
    if (static_cast<int>(open_.size()) + cost.height > kMaxDepth) too_deep(at(mark));
    YamlNode copy = node;
    copy.place = at(mark);
    place_in_parent(std::move(copy), cost);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Kind::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Kind::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    Cost cost;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::optional<YamlEntry> key;  // read, its value not yet
    std::unordered_set<std::string> keys;
  };

  Place at(const YAML::Mark& mark) {
    input_.event(std::max(mark.line, 0) + 1);
    if (!in_file_) return {.source = source_};
    return {.source = source_, .line = std::max(mark.line, 0) + 1, .column = std::max(mark.column, 0) + 1};
  }

  [[noreturn]] static void fail(const Place& place, const std::string& what) {
    throw UserError(say(place.text(), ": ", what));
  }

  [[noreturn]] static void too_deep(const Place& place) {
    fail(place, say("nested deeper than ", kMaxDepth, " levels; a configuration is a flat map"));
  }

  void count(const Cost& cost, const Place& place) {
    values_ += cost.values;
    bytes_ += cost.bytes;
    if (values_ > kMaxValues) fail(place, say("more than ", kMaxValues, " values, aliases expanded; write fewer"));
    if (bytes_ > kMaxExpandedBytes)
      fail(place, say("more than ", kMaxExpandedBytes >> 20, " MB of text, aliases expanded; write less"));
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const Place place = at(mark);
    if (static_cast<int>(open_.size()) >= kMaxDepth) too_deep(place);
    if (tag != "?" && tag != "!" && !tag.empty())
      fail(place, say("found the tag `", shown(tag), "`; tags are not read here: remove it"));
    if (expects_key()) fail(place, "expected a key, found a list or a map; is a bracket not closed?");
    count({}, place);
    Open frame;
    frame.node.kind = kind;
    frame.node.place = place;
    frame.anchor = anchor;
    open_.push_back(std::move(frame));
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor != YAML::NullAnchor) remember(done.anchor, done.node, done.cost);
    place_in_parent(std::move(done.node), done.cost);
  }

  void arrive(YamlNode node, const Cost& cost, YAML::anchor_t anchor) {
    count(cost, node.place);
    if (anchor != YAML::NullAnchor) remember(anchor, node, cost);
    place_in_parent(std::move(node), cost);
  }

  void remember(YAML::anchor_t anchor, const YamlNode& node, const Cost& cost) {
    count(cost, node.place);
    anchors_[anchor] = {node, cost};
  }

  bool expects_key() const { return !open_.empty() && open_.back().node.kind == Kind::kMap && !open_.back().key; }

  void place_in_parent(YamlNode node, const Cost& cost) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (expects_key()) {
      if (node.kind != Kind::kScalar) fail(node.place, "expected a key, found none; a key is one word");
      if (node.text == "<<" && node.plain)
        fail(node.place, "found the merge key `<<`, which is not read here; write the keys out");
      if (!parent.keys.insert(node.text).second) duplicate(parent.node, node);
      parent.key = YamlEntry{std::move(node.text), node.place, {}};
      return;
    }
    parent.cost.values += cost.values;
    parent.cost.bytes += cost.bytes;
    parent.cost.height = std::max(parent.cost.height, cost.height + 1);
    if (parent.node.kind == Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else {
      parent.key->value = std::move(node);
      parent.node.entries.push_back(std::move(*parent.key));
      parent.key.reset();
    }
  }

  [[noreturn]] static void duplicate(const YamlNode& map, const YamlNode& key) {
    for (const YamlEntry& entry : map.entries)
      if (entry.key == key.text)
        fail(key.place, say(shown(key.text), ": the key stands there twice, first at line ", entry.place.line,
                            "; keep one of the two"));
    fail(key.place, say(shown(key.text), ": the key stands there twice; keep one of the two"));
  }

  std::shared_ptr<const std::string> source_;
  BoundedText& input_;
  bool in_file_;
  int documents_ = 0;
  std::size_t values_ = 0, bytes_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, std::pair<YamlNode, Cost>> anchors_;
  std::optional<YamlNode> root_;
};

// yaml-cpp guesses encodings, ends a text at byte 4 and keeps whatever bytes it is given: only clean UTF-8 goes in.
void check_bytes(const std::string& text, const std::string& source) {
  int line = 1, column = 1;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    if (byte >= 0x80) {
      while (length <= 4 && !data::is_utf8(std::string_view(text).substr(i, length))) ++length;
      if (length > 4) throw UserError(say(source, ":", line, ":", column, ": not valid UTF-8; save the file as UTF-8"));
    } else if ((byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r') || byte == 0x7F) {
      throw UserError(say(source, ":", line, ":", column, ": found the control character ", int{byte},
                          "; a configuration is plain text in UTF-8"));
    }
    column += static_cast<int>(length);
    if (byte == '\n') ++line, column = 1;
    i += length;
  }
}

std::optional<YamlNode> parse(const std::string& text, const std::string& where, bool in_file) {
  const auto source = std::make_shared<const std::string>(shown(where, kLongestPath));
  if (text.size() > kMaxYamlBytes)
    throw UserError(say(*source, ": expected at most ", kMaxYamlBytes >> 20, " MB of YAML, found ", text.size(),
                        " bytes; is this the configuration?"));
  check_bytes(text, *source);
  // yaml-cpp takes a quote or a bracket that nothing closes for whole where the text ends right after a line break, or
  // in the middle of one line; a comment as the last line has it noticed.
  const std::string ended = text + (text.ends_with('\n') ? "#" : "\n#");
  BoundedText buffer(ended, *source);
  TreeBuilder builder(source, buffer, in_file);
  try {
    std::istream in(&buffer);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const Place place{.source = source,
                      .line = in_file && error.mark.line >= 0 ? error.mark.line + 1 : 0,
                      .column = error.mark.column + 1};
    throw UserError(say(place.text(), ": not valid YAML: ", shown(error.msg)));
  }
  return builder.take();
}

}  // namespace

std::string Place::text() const {
  return line > 0 ? say(*source, ":", line, ":", column) : source ? *source : "";
}

std::string shown(const std::string& text, std::size_t longest) {
  std::string out;
  for (const char c : text) {
    // Only whole characters are kept: a continuation byte is never the place to cut.
    if (out.size() >= longest && (static_cast<unsigned char>(c) & 0xC0) != 0x80) return out + "…";
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  return out;
}

YamlNode parse_yaml(const std::string& text, const std::string& where) {
  auto root = parse(text, where, true);
  if (!root || root->kind == Kind::kNull)
    throw UserError(
        say(shown(where, kLongestPath), ": expected a map of keys, found an empty file; configs/ holds examples"));
  return std::move(*root);
}

YamlNode parse_yaml_value(const std::string& text, const std::string& where) {
  auto root = parse(text, where, false);
  if (root) return std::move(*root);
  YamlNode null;
  null.place.source = std::make_shared<const std::string>(shown(where, kLongestPath));
  return null;
}

YamlNode text_value(const std::string& text, const std::string& where) {
  YamlNode node;
  node.kind = Kind::kScalar;
  node.plain = false;
  node.text = text;
  node.place.source = std::make_shared<const std::string>(shown(where, kLongestPath));
  check_bytes(text, *node.place.source);
  return node;
}

}  // namespace cadre::config
