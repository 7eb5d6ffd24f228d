#include "trainer/data/json_reader.h"

#include <boost/json/kind.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "runtime/error.h"
#include "trainer/data/json_text.h"
#include "trainer/data/jsonl_reader.h"

namespace cadre::data {
namespace {

// Walks the elements of one array or object without parsing them. `line` is exact where it is asked for: counting is
// left to errors.
class Elements {
 public:
  // text[begin] is the bracket that opens.
  Elements(std::string_view text, std::size_t begin, const std::string& where)
      : text_(text), position_(begin + 1), is_object_(text[begin] == '{'), where_(where) {}

  struct Element {
    std::string_view key, value;  // the key as it is spelled, with its quotes; empty in an array
  };

  // nullopt once the closing bracket is passed.
  std::optional<Element> next() {
    position_ = skip_space(text_, position_);
    if (at(is_object_ ? '}' : ']') && !after_comma_) {
      ++position_;
      return std::nullopt;
    }
    if (count_ > 0 && !after_comma_) fail("a comma or the closing bracket");
    ++count_;
    Element element;
    if (is_object_) {
      if (!at('"')) fail("a quoted key");
      element.key = take_value();
      position_ = skip_space(text_, position_);
      if (!at(':')) fail("a colon after the key");
      position_ = skip_space(text_, position_ + 1);
    }
    if (position_ == text_.size() || at(',') || at(']') || at('}')) fail("a value");
    element.value = take_value();
    position_ = skip_space(text_, position_);
    after_comma_ = at(',');
    if (after_comma_) ++position_;
    return element;
  }

  std::size_t position() const { return position_; }
  std::uint64_t count() const { return count_; }

 private:
  bool at(char c) const { return position_ < text_.size() && text_[position_] == c; }

  std::string_view take_value() {
    const std::size_t end = end_of_value(text_, position_);
    if (end == std::string_view::npos)
      fail_row(where_, count_,
               runtime::say("the row does not end (the file may have been cut off) or is nested deeper than ",
                            kMaxJsonDepth, " levels: ", excerpt(text_.substr(position_))));
    const std::string_view value = text_.substr(position_, end - position_);
    position_ = end;
    return value;
  }

  [[noreturn]] void fail(std::string_view expected) const {
    const bool end = position_ >= text_.size();
    fail_row(where_, count_ == 0 ? 1 : count_,
             runtime::say("expected ", expected, ", found ",
                          end ? "the end of the file; it may have been cut off" : excerpt(text_.substr(position_))));
  }

  std::string_view text_;
  std::size_t position_;
  bool is_object_;
  bool after_comma_ = false;
  std::uint64_t count_ = 0;
  const std::string& where_;
};

class JsonReader final : public RowReader {
 public:
  JsonReader(std::string_view text, std::size_t begin, std::string where)
      : where_(std::move(where)), elements_(text, begin, where_) {}

  bool next(Row& row) override {
    const auto element = elements_.next();
    if (!element) return false;
    boost::json::value value = parse_json(element->value, {where_, elements_.count(), "the row"});
    if (!value.is_object())
      fail_row(where_, elements_.count(),
               runtime::say("expected an object for each row, found ", excerpt(element->value), ", of kind ",
                            boost::json::to_string(value.kind())));
    row = {elements_.count(), element->value.size(), std::move(value.get_object())};
    return true;
  }

 private:
  std::string where_;
  Elements elements_;
};

void expect_end(std::string_view text, std::size_t position, const std::string& where) {
  position = skip_space(text, position);
  if (position < text.size())
    throw runtime::UserError(where + ": expected the end of the file after its JSON value, found " +
                             excerpt(text.substr(position)));
}

}  // namespace

std::unique_ptr<RowReader> open_json(std::string_view text, const std::string& where) {
  const std::size_t begin = skip_space(text, 0);
  if (begin == text.size() || (text[begin] != '[' && text[begin] != '{'))
    throw runtime::UserError(where +
                             ": expected a JSON array of objects, an object of objects or {\"data\": […]}, found " +
                             (begin == text.size() ? "an empty file" : excerpt(text.substr(begin))));
  // A first walk over the outermost brackets settles the shape and shows a cut file before any row is used.
  Elements elements(text, begin, where);
  std::size_t data = std::string_view::npos;
  std::unordered_set<std::string_view> keys;
  while (const auto element = elements.next()) {
    if (!element->key.empty() && !keys.insert(element->key).second)
      throw runtime::UserError(runtime::say(where, ":", elements.count(), ": the key ",
                                            excerpt(element->key.substr(1, element->key.size() - 2)),
                                            " stands there twice; keep one"));
    if (element->key == "\"data\"" && element->value.starts_with('['))
      data = static_cast<std::size_t>(element->value.data() - text.data());
  }
  if (text[begin] == '{') {
    const std::size_t after = skip_space(text, elements.position());
    if (after < text.size() && text[after] == '{') return std::make_unique<JsonlReader>(text, where);
  }
  expect_end(text, elements.position(), where);
  return std::make_unique<JsonReader>(text, data == std::string_view::npos ? begin : data, where);
}

}  // namespace cadre::data
