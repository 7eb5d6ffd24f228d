#include "trainer/safetensors/header_parser.h"

#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::safetensors {
namespace {

using boost::json::error_code;
using boost::json::string_view;
using runtime::in_quotes;
using runtime::say;

constexpr std::size_t kMaxDimensions = 64;  // as many as LibTorch knows

// Gets the parser's events. A handler that does not like one leaves the reason in `problem` and returns false.
class Handler {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  Claims claims;
  std::string problem;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }

  bool on_object_begin(error_code& code) {
    if (place_ == Place::kStart) return go(Place::kTop);
    if (place_ != Place::kTop) return fail(code, "expected ", wanted(), ", found an object");
    if (name_ == "__metadata__") return go(Place::kMetadata);
    claim_ = {};
    has_dtype_ = has_shape_ = false;
    offsets_ = 0;
    has_offsets_ = false;
    return go(Place::kTensor);
  }

  bool on_object_end(std::size_t, error_code& code) {
    if (place_ == Place::kTop) return go(Place::kEnd);
    if (place_ == Place::kTensor) {
      const char* missing = !has_dtype_ ? "dtype" : !has_shape_ ? "shape" : !has_offsets_ ? "data_offsets" : nullptr;
      if (missing != nullptr) return fail(code, "tensor ", in_quotes(name_), " has no ", missing);
      claims.tensors.emplace(std::move(name_), std::move(claim_));
    }
    return go(Place::kTop);
  }

  bool on_array_begin(error_code& code) {
    if (place_ == Place::kTensor && field_ == "shape" && !has_shape_) return go(Place::kShape);
    if (place_ == Place::kTensor && field_ == "data_offsets" && !has_offsets_) return go(Place::kOffsets);
    return fail(code, "expected ", wanted(), ", found an array");
  }

  bool on_array_end(std::size_t, error_code& code) {
    if (place_ == Place::kShape) {
      has_shape_ = true;
    } else {
      if (offsets_ != 2)
        return fail(code, "data_offsets of ", in_quotes(name_), " holds ", offsets_, " numbers, not 2");
      has_offsets_ = true;
    }
    return go(Place::kTensor);
  }

  bool on_key_part(string_view part, std::size_t, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }

  bool on_key(string_view part, std::size_t, error_code& code) {
    text_.append(part.data(), part.size());
    std::string key = std::exchange(text_, {});
    if (place_ == Place::kTop) {
      if (claims.tensors.contains(key) || (key == "__metadata__" && std::exchange(had_metadata_, true))) {
        return fail(code, "the name ", in_quotes(key), " appears twice");
      }
      name_ = std::move(key);
    } else if (place_ == Place::kMetadata) {
      if (claims.metadata.contains(key)) return fail(code, "__metadata__ has the key ", in_quotes(key), " twice");
      field_ = std::move(key);
    } else {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        return fail(code, "tensor ", in_quotes(name_), " has the unknown field ", in_quotes(key),
                    "; known are dtype, shape and data_offsets");
      }
      if ((key == "dtype" && has_dtype_) || (key == "shape" && has_shape_) || (key == "data_offsets" && has_offsets_)) {
        return fail(code, "tensor ", in_quotes(name_), " has ", key, " twice");
      }
      field_ = std::move(key);
    }
    return true;
  }

  bool on_string_part(string_view part, std::size_t, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }

  bool on_string(string_view part, std::size_t, error_code& code) {
    text_.append(part.data(), part.size());
    std::string value = std::exchange(text_, {});
    if (place_ == Place::kMetadata) {
      claims.metadata.emplace(std::move(field_), std::move(value));
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") {
      return fail(code, "expected ", wanted(), ", found the text ", in_quotes(value));
    }
    const std::optional<Dtype> dtype = dtype_of(value);
    if (!dtype) {
      return fail(code, "tensor ", in_quotes(name_), " has the dtype ", in_quotes(value),
                  ", which is not supported; known are F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL");
    }
    claim_.dtype = *dtype;
    has_dtype_ = true;
    return true;
  }

  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t value, string_view, error_code& code) {
    if (value < 0) return fail(code, "expected ", wanted(), ", found ", value);
    return on_uint64(static_cast<std::uint64_t>(value), {}, code);
  }
  bool on_uint64(std::uint64_t value, string_view, error_code& code) {
    if (place_ == Place::kShape) {
      if (claim_.shape.size() == kMaxDimensions) {
        return fail(code, "shape of ", in_quotes(name_), " has more than ", kMaxDimensions, " dimensions");
      }
      if (value > static_cast<std::uint64_t>(INT64_MAX)) {
        return fail(code, "shape of ", in_quotes(name_), " holds ", value, ", which is too large");
      }
      claim_.shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (place_ != Place::kOffsets) return fail(code, "expected ", wanted(), ", found ", value);
    (offsets_ == 0 ? claim_.begin : claim_.end) = value;
    if (++offsets_ > 2) return fail(code, "data_offsets of ", in_quotes(name_), " holds more than 2 numbers");
    return true;
  }
  bool on_double(double value, string_view, error_code& code) {
    return fail(code, "expected ", wanted(), ", found ", value);
  }
  bool on_bool(bool value, error_code& code) {
    return fail(code, "expected ", wanted(), ", found ", value ? "true" : "false");
  }
  bool on_null(error_code& code) { return fail(code, "expected ", wanted(), ", found null"); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  template <typename... Parts>
  bool fail(error_code& code, const Parts&... parts) {
    problem = say(parts...);
    code = boost::json::error::syntax;
    return false;
  }

  std::string wanted() const {
    switch (place_) {
      case Place::kStart:
      case Place::kEnd:
        return "an object of tensors";
      case Place::kTop:
        return say("an object for ", in_quotes(name_));
      case Place::kMetadata:
        return say("a text for ", in_quotes(field_), " in __metadata__");
      case Place::kTensor:
        return say(field_ == "dtype" ? "a text for dtype of " : "an array for " + field_ + " of ", in_quotes(name_));
      case Place::kShape:
        return say("whole numbers, zero or more, in the shape of ", in_quotes(name_));
      case Place::kOffsets:
        return say("two whole numbers, zero or more, as data_offsets of ", in_quotes(name_));
    }
    return "";
  }

  Place place_ = Place::kStart;
  std::string text_, name_, field_;
  Claim claim_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false, had_metadata_ = false;
  int offsets_ = 0;
};

}  // namespace

Claims parse_header(std::string_view json, std::size_t base, const std::string& where) {
  boost::json::parse_options options;
  options.max_depth = 3;
  boost::json::basic_parser<Handler> parser(options);
  error_code code;
  const std::size_t read = parser.write_some(false, json.data(), json.size(), code);
  Handler& handler = parser.handler();
  const auto fail = [&](std::size_t at, const std::string& why) {
    throw runtime::UserError(say(where, ": byte ", base + at, ": ", why));
  };
  if (code && !handler.problem.empty()) fail(read, handler.problem);
  if (code) fail(read, say("the header is not the JSON of a safetensors file: ", code.message()));
  const std::size_t rest = json.find_first_not_of(" \t\r\n", read);
  if (rest != std::string_view::npos) fail(rest, "something follows the end of the header's object");
  return std::move(handler.claims);
}

}  // namespace cadre::safetensors
