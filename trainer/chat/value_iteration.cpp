// What a value holds one after another: Python's len() and iter().
#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/value.h"

namespace cadre::chat {

std::uint64_t length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      if (value.as<StringObject>().ascii) return value.as_text().size();
      Budget::work(value.as_text().size() / 8);
      return count_characters(value.as_bytes());
    case Kind::kList:
    case Kind::kTuple:
      return value.items().size();
    case Kind::kDict:
      return value.as<DictObject>().entries.size();
    case Kind::kRange:
      return value.as<RangeObject>().length;
    case Kind::kView:
      return length_of(value.as<ViewObject>().dict);
    default:
      throw Failure(runtime::say("object of type '", type_name(value), "' has no len()"));
  }
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

std::vector<Value> iterate(const Value& value) {
  std::vector<Value> out;
  const auto reserve = [&out](std::uint64_t n) {
    Budget::allocate(n * sizeof(Value));
    out.reserve(n);
  };
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString: {
      const Text& text = value.as_text();
      reserve(length_of(value));
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        decode_at(text.view(), at);
        Budget::work(text.segments().size());
        out.push_back(Value::string(text.slice(begin, at)));
      }
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      reserve(value.items().size());
      out = value.items();
      break;
    case Kind::kDict:
      reserve(length_of(value));
      for (const auto& entry : value.as<DictObject>().entries) out.push_back(entry.first);
      break;
    case Kind::kView: {
      const auto& view = value.as<ViewObject>();
      reserve(length_of(value));
      for (const auto& [key, held] : view.dict.as<DictObject>().entries) {
        out.push_back(view.of == ViewOf::kKeys ? key : view.of == ViewOf::kValues ? held : Value::tuple({key, held}));
      }
      break;
    }
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      reserve(range.length);
      for (std::uint64_t i = 0; i < range.length; ++i) out.push_back(range.at(i));
      break;
    }
    case Kind::kIterator: {
      auto& iterator = value.as<IteratorObject>();
      reserve(iterator.items.size() - iterator.next);
      out.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next), iterator.items.end());
      iterator.next = iterator.items.size();
      break;
    }
    case Kind::kLoop:
      throw Failure("iterating over the variable 'loop' is not implemented");
    default:
      throw Failure(runtime::say("'", type_name(value), "' object is not iterable"));
  }
  return out;
}

}  // namespace cadre::chat
